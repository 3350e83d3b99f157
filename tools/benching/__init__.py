"""Workloads and tools of `tools/bench`."""
