"""The Rust half: checks of the source, and the tests of the crates."""

import shutil

from . import steps as results


def lint(root, steps):
    """rustfmt, clippy, the free-threaded build, cargo deny, documentation."""
    steps.run("format", ["cargo", "fmt", "--all", "--check"], cwd=root)
    clippy = ["cargo", "clippy", "--locked", "--workspace", "--all-targets", "--"]
    steps.run("clippy", [*clippy, "-D", "warnings"], cwd=root)
    # There is seldom such an interpreter; that the recorder is built for one can be checked.
    check = ["cargo", "check", "--locked", "-p", "rtrace-recorder"]
    free_threaded = {
        "PYO3_CONFIG_FILE": str(root / "tools/testing/free-threaded.cfg"),
        "CARGO_TARGET_DIR": str(steps.logs.parent / "free-threaded"),
    }
    steps.run("free-threaded build", check, environment=free_threaded, cwd=root)
    if shutil.which("cargo-deny"):
        deny = ["cargo", "deny", "--locked", "check", "bans", "licenses", "sources"]
        steps.run("licences and sources", deny, cwd=root)
    else:
        steps.note("cargo deny is not installed: licences and sources were not checked")
    document = ["cargo", "doc", "--locked", "--workspace", "--no-deps", "--document-private-items"]
    steps.run(
        "documentation",
        document,
        environment={"RUSTDOCFLAGS": "-D warnings -A rustdoc::private-intra-doc-links"},
        cwd=root,
    )


def test(root, steps):
    """nextest where it is installed, else cargo's own runner; then the examples in the docs."""
    if shutil.which("cargo-nextest"):
        nextest = ["cargo", "nextest", "run", "--locked", "--workspace", "--no-fail-fast"]
        steps.run("rust tests", nextest, results.nextest, cwd=root)
    else:
        steps.note("cargo nextest is not installed: cargo test was used")
        plain = ["cargo", "test", "--locked", "--workspace", "--no-fail-fast", "--lib", "--bins"]
        steps.run("rust tests", [*plain, "--tests"], results.cargo_test, cwd=root)
    examples = ["cargo", "test", "--locked", "--workspace", "--doc"]
    steps.run("examples in the documentation", examples, results.cargo_test, cwd=root)
