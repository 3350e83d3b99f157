"""What `tools/test` is made of: finding interpreters, fetching them, running steps."""
