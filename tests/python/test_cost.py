"""What recording costs is measured, told, and can be taken out."""

import pytest
from support import ALL_HOOKS, DEFAULT_HOOK

PROGRAM = """\
    def leaf():
        pass
    def outer():
        for _ in range(100):
            leaf()
    for _ in range(200):
        outer()
    """


@pytest.mark.parametrize("hook", ALL_HOOKS)
def test_events_have_a_price(record, hook):
    recorded = record(PROGRAM, "--hook", hook)
    cost = recorded.view("info")["processes"][0]["cost"]
    assert 1 < cost["event_ns"] < 20_000
    assert (cost["c_event_ns"] is not None) == (hook != "trace")
    assert cost["events_per_s"] > 0 and cost["own_ns"] > 0
    assert cost["slowdown"] is None or cost["slowdown"] > 1


def test_children_have_the_price_of_the_first(record):
    source = """\
        import os, subprocess, sys
        if os.fork() == 0:
            os._exit(0)
        os.wait()
        subprocess.run([sys.executable, "-c", "print(len('abc'))"])
        """
    processes = record(source).view("info")["processes"]
    prices = {process["cost"]["event_ns"] for process in processes if process["cost"]}
    assert len(processes) == 3 and len(prices) == 1


def test_net_leaves_the_programs_own_time(record):
    recorded = record(PROGRAM, "--hook", DEFAULT_HOOK, "--no-c-calls")
    gross = recorded.view("report")
    net = recorded.view("report", "--net")
    assert net["net"] is True
    before = {row["name"]: row for row in gross["functions"]}
    after = {row["name"]: row for row in net["functions"]}
    assert before.keys() == after.keys()
    price = recorded.view("info")["processes"][0]["cost"]["event_ns"]
    taken = 0
    for name, row in after.items():
        assert row["calls"] == before[name]["calls"]
        assert 0 <= row["self_ns"] <= before[name]["self_ns"]
        assert row["self_ns"] <= row["total_ns"] + 1000 <= before[name]["total_ns"] + 1000
        taken += before[name]["self_ns"] - row["self_ns"]
    assert abs(taken - net["subtracted_ns"]) < 1000
    # `outer` pays for one event of each call of `leaf`, unless there is nothing left of it.
    paid = before["outer"]["self_ns"] - after["outer"]["self_ns"]
    assert paid == pytest.approx(20_200 * price, rel=0.01) or after["outer"]["self_ns"] == 0


def test_filtered_functions_are_counted(record):
    recorded = record(PROGRAM, "--exclude", "*leaf", "--no-c-calls")
    info = recorded.view("info")
    assert info["processes"][0]["filtered_functions"] == 1
    assert "leaf" not in {row["name"] for row in recorded.view("report")["functions"]}
