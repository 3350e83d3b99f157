"""Filters: the names that they know beside globs, and calls by what they leave out."""

import sys

import pytest

from support import run_view

PROGRAM = """\
    import json
    def mine():
        return json.dumps({"a": [1, 2]}, indent=1)
    for _ in range(3):
        mine()
    """


def modules(recorded):
    return {row["module"] for row in recorded.view("report")["functions"] if row["kind"] == "python"}


def test_without_the_standard_library(record):
    assert "json.encoder" in modules(record(PROGRAM))
    recorded = record(PROGRAM, "--exclude", "stdlib")
    # Installed packages may have a part in imports.
    assert not any(one.startswith("json") for one in modules(recorded))
    rows = {row["name"]: row["calls"] for row in recorded.view("report")["functions"]}
    assert rows["mine"] == 3
    assert recorded.view("info")["processes"][0]["filtered_functions"] > 5


def test_what_was_left_out_is_told_to_who_asks_for_it(record):
    recorded = record(PROGRAM, "--exclude", "stdlib")
    asked = recorded.view("report", "--function", r"^json\.dumps$")
    assert asked["functions"] == []
    [left_out] = asked["not_recorded"]
    assert (left_out["module"], left_out["name"]) == ("json", "dumps")
    assert recorded.view("report", "--function", "mine")["not_recorded"] == []
    assert recorded.view("report")["not_recorded"] == []
    text = run_view("report", recorded.trace, "--function", r"^json\.dumps$", check=0).stdout
    assert "Not recorded, by the filters:" in text and "json.dumps" in text


def test_only_the_standard_library(record):
    found = modules(record(PROGRAM, "--include", "stdlib"))
    assert "json.encoder" in found and "__main__" not in found


def test_without_installed_packages(record):
    folder = record.folder / "site-packages" / "thing"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("def work():\n    return 1\n")
    source = f"import sys\nsys.path.insert(0, {str(folder.parent)!r})\nimport thing\nthing.work()\n"
    assert "thing" in modules(record(source))
    found = modules(record(source, "--exclude", "site-packages"))
    assert "thing" not in found and "__main__" in found


CALLED_BACK = """\
    import sys, time
    def slow(x):
        # The same function, called by what is not recorded, within a call that is.
        max([x, 1])
        time.sleep(0.002)
        return x
    def run():
        return max([3, 1, 2], key=slow)
    for _ in range(5):
        run()
    """
HOOKS = ["profile", "monitoring"] if sys.version_info >= (3, 12) else ["profile"]


@pytest.mark.parametrize("hook", HOOKS)
def test_c_calls_by_what_is_left_out_end_no_call_that_is_recorded(record, hook):
    recorded = record(CALLED_BACK, "--hook", hook, "--c-calls", "--exclude", "slow")
    events = [event for event in recorded.events() if event["name"] == "max"]
    assert [event["kind"] for event in events] == ["c_call", "c_return"] * 5
    times = [event["ts_ns"] for event in events]
    took = [end - begin for begin, end in zip(times[::2], times[1::2], strict=True)]
    assert min(took) > 3 * 2_000_000, took
