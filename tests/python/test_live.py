"""A reader beside a writer that goes round its ring all the time: nothing torn, nothing false,
and the writer does not notice."""

import os
import shutil
import struct
import sys
import time

import pytest
from support import HOOKS, ROOT, view, view_program

sys.path.insert(0, str(ROOT / "tools"))

from killing import cases, run, truth  # noqa: E402
from killing.check import ours  # noqa: E402

LOOKS = 4
#: How far back is read of what is kept from the beginning.
BACK_NS = 20_000_000
#: Bytes of records that a step has at least.
STEP = 13 * 8


class Live:
    """The program of the kill oracle, left alone; `published` says how far a thread is."""

    def __init__(self, folder, rings, **what):
        machine = run.Machine(sys.executable, view_program(), rings)
        self.case = cases.Case(seed="live/0", **what)
        self.run = run.Run(machine, self.case)
        self.trace = self.run.trace
        self.process = self.run.start()
        self.run.wait_for(self.process, 0, time.monotonic() + 60)

    def published(self, slot):
        with open(self.run.shared, "rb", buffering=0) as file:
            return struct.unpack("<Q", os.pread(file.fileno(), 8, 8 * slot))[0]

    def look(self, slot):
        """The events of a thread; where it was before they were read, and where after."""
        before = self.published(slot)
        flags = ["--thread", str(slot)]
        if self.case.mode == "full":
            # All of it would be more at each look.
            (last,) = (
                thread["last_ns"]
                for thread in view("info", self.trace)["processes"][0]["threads"]
                if thread["serial"] == slot
            )
            flags += ["--from", f"{max(0, last - BACK_NS)}ns"]
        events = view("events", self.trace, *flags)
        return events, before, self.published(slot)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.run.wait_for_collector()
        shutil.rmtree(self.run.folder, ignore_errors=True)


@pytest.fixture
def live(tmp_path, rings):
    started = []

    def start(**what):
        started.append(Live(tmp_path, rings, **what))
        return started[-1]

    yield start
    for one in started:
        one.close()


def bounds(published, c_calls):
    """The least and the most that a thread had recorded that had published this: its step,
    and how many events of it."""
    n, part = divmod(published, 4)
    starts = truth.step(n, c_calls)[1]
    return (n, starts[part]), (n, starts[part + 1]) if part < 2 else (n + 1, 1)


def held_against(one, slot, c_calls):
    """What a reader gets is of one moment between its beginning and its end, without a hole.
    False where that is nothing of the thread's steps: it had not begun, or went round its
    whole ring in the meantime."""
    events, before, after = one.look(slot)
    steps = [(e["kind"], e["name"]) for e in events if e["kind"] == "lost" or ours(e)]
    steps = [step for step in steps if step[0] in truth.KINDS]
    end, _first, wrong = truth.follow(steps, c_calls)
    if wrong == ["no step"]:
        assert not before or (after - before) // 4 * STEP > one.case.ring_size, wrong
        return False
    assert not wrong, wrong[:3]
    if not before:
        return True
    assert end is not None, "nothing of it is there"
    assert end >= bounds(before, c_calls)[0], f"lost: it ends at {end}, published was {before}"
    assert end <= bounds(after, c_calls)[1], f"false: it ends at {end}, published was {after}"
    times = [e["ts_ns"] for e in events]
    assert times == sorted(times)
    return True


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("mode", ["flight", "full"])
@pytest.mark.parametrize("ring_size", [32 << 10, 128 << 10])
def test_what_is_read_is_true(live, mode, hook, ring_size):
    # What is kept from the beginning is verified at the end.
    steps = 1 << (20 if mode == "flight" else 17)
    one = live(mode=mode, hook=hook, ring_size=ring_size, threads=2, steps=steps)
    looks = []
    while len(looks) < LOOKS and one.process.poll() is None:
        looks.append(held_against(one, len(looks) % 2, one.case.c_calls))
    assert any(looks), "it was over before it was looked at, or nothing was ever seen"
    laps = one.published(0) // 4 * STEP // ring_size
    assert laps > 3, "the writer never came round"
    assert view("verify", one.trace)["ok"]
