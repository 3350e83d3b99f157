"""Programs killed at any instant: the short form of `tools/kill`, and whether it can fail."""

import os
import sys
import time

import pytest
from support import ROOT, view_program

sys.path.insert(0, str(ROOT / "tools"))

from killing import cases, run, truth  # noqa: E402

# Over the five interpreters that is 200.
KILLS = int(os.environ.get("RTRACE_KILLS", "40"))
PARTS = 4


@pytest.fixture
def machine(rings):
    return run.Machine(sys.executable, view_program(), rings)


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_lost_and_nothing_false(machine, part):
    seed, hooks = f"{time.time_ns() // 1_000_000}", run.hooks(sys.executable)
    for number in range(part, KILLS, PARTS):
        case = cases.draw(seed, number, hooks)
        wrong = machine.run(case)
        assert not wrong, f"tools/kill --only {case.seed}: {case}"


def events_of(steps, c_calls=True):
    return [event for n in steps for event in truth.step(n, c_calls)[0]]


def test_what_is_true_passes():
    events = events_of(range(70, 200))
    assert truth.follow(events[5:], True) == ((199, len(truth.step(199, True)[0])), 71, [])
    end, _first, wrong = truth.follow(events[:-3], True)
    assert not wrong
    assert truth.position(*end, 4 * 199 + 1, True) is None
    assert truth.stack(*end, True) == ["step", "w7", "wc"]


@pytest.mark.parametrize("at", range(200, 230))
def test_an_event_that_is_missing_or_made_up_is_seen(at):
    events = events_of(range(70, 200))
    assert truth.follow(events[:at] + events[at + 1 :], True)[2]
    assert truth.follow(events[:at] + [events[at]] + events[at:], True)[2]
    assert truth.follow(events[:at] + [("call", "wf")] + events[at:], True)[2]


def test_the_end_is_held_against_what_was_published():
    whole = len(truth.step(50, True)[0])
    for published, n, index, right in [
        (4 * 50, 50, 1, True),
        (4 * 50, 50, 6, True),
        (4 * 50, 50, 7, False),
        (4 * 50, 49, len(truth.step(49, True)[0]), False),
        (4 * 50 + 1, 50, 5, False),
        (4 * 50 + 2, 50, whole - 1, True),
        (4 * 50 + 2, 50, whole - 2, False),
        (4 * 50 + 2, 51, 1, True),
        (4 * 50 + 2, 51, 2, False),
    ]:
        found = truth.position(n, index, published, True)
        assert (found is None) == right, (published, n, index, found)
