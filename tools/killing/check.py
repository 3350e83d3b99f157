"""Holds what is left of a killed program against what it published."""

import json
import struct
import subprocess

from . import truth

#: How much of a thread's end is read each time, where not all of it is.
TAIL_NS = 300_000


class Shared:
    """What the program published: the page that outlives it."""

    def __init__(self, path):
        self.words = struct.unpack("<512Q", path.read_bytes())
        self.begun, self.ends, self.after = self.words[56:59]

    def published(self, slot):
        return self.words[slot]


class Reader:
    """`rtrace-view`, as a program of its own."""

    def __init__(self, program):
        self.program = program

    def lines(self, command, trace, *flags):
        done = subprocess.run(
            [self.program, command, str(trace), "--json", *map(str, flags)],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise Unreadable(f"{command}: {done.stderr.decode(errors='replace')[:300]}")
        return done.stdout.splitlines()

    def one(self, command, trace, *flags):
        return json.loads(b"".join(self.lines(command, trace, *flags)))

    def events(self, trace, *flags):
        return [json.loads(line) for line in self.lines("events", trace, *flags)]


class Unreadable(Exception):
    pass


def ours(event):
    return event["name"] is not None and (
        (truth.OURS.match(event["name"]) and event["module"] == "__main__")
        or (event["name"] == "len" and event["kind"].startswith("c_") and event["depth"] > 4)
    )


class Check:
    """One trace, held against the truth. `wrong` says what is not so."""

    def __init__(self, reader, trace, case, shared):
        self.reader, self.trace, self.case, self.shared = reader, trace, case, shared
        self.c_calls = case.c_calls
        self.wrong = []

    def run(self, whole):
        """`whole`: every event is read, not only the end of each thread."""
        if not self.trace.exists() or self.trace.stat().st_size == 0:
            if self.shared.begun:
                self.wrong.append("there is no trace")
            return self
        try:
            self.read(whole)
        except Unreadable as error:
            self.wrong.append(str(error))
        return self

    def read(self, whole):
        self.info = self.reader.one("info", self.trace)
        if not self.shared.begun:
            return
        process = self.info["processes"][0]
        end = "clean" if self.is_clean(process) else "killed"
        if process["end"] != end:
            self.wrong.append(f"ended {process['end']}, not {end}")
        if self.info["lost_events"] and self.case.mode == "flight":
            self.wrong.append(f"{self.info['lost_events']} events lost")
        stacks = {one["serial"]: one for one in self.reader.one("stacks", self.trace)["threads"]}
        everything = self.reader.events(self.trace) if whole else None
        if whole and not self.reader.one("verify", self.trace)["ok"]:
            self.wrong.append("verify says no")
        found = {}
        for thread in process["threads"]:
            events = self.events_of(thread, everything)
            if whole:
                self.counts(thread, events)
            slot = self.slot(thread)
            if slot is not None:
                found[slot] = self.thread(slot, thread, events, stacks.get(thread["serial"]), whole)
        for slot in range(self.case.threads):
            if self.shared.published(slot) and slot not in found:
                self.wrong.append(f"thread {slot} is not there")

    def counts(self, thread, events):
        lost = [e["count"] for e in events if e["kind"] == "lost"]
        told = thread["events"], thread["lost_events"]
        if (len(events) - len(lost), sum(lost)) != told:
            self.wrong.append(f"{len(events)} events, {sum(lost)} lost; info says {told}")

    def is_clean(self, process):
        """After its last instruction the program may have written its end mark, or not."""
        return self.shared.after and process["end"] == "clean"

    def slot(self, thread):
        """Threads are made in order, and so are their serials."""
        slot = thread["serial"]
        return slot if slot < self.case.threads else None

    def events_of(self, thread, everything):
        serial = thread["serial"]
        if everything is not None:
            return [e for e in everything if e["thread"] == serial]
        last, back = thread["last_ns"], TAIL_NS
        while last is not None:
            since = max(0, last - back)
            events = self.reader.events(self.trace, "--thread", serial, "--from", f"{since}ns")
            if since == 0 or self.tells_enough(events):
                return events
            back *= 8
        return []

    def tells_enough(self, events):
        """Whether the first step that begins in there says by itself which one it is."""
        steps = self.steps(events)
        first = steps.index(("call", "step")) if ("call", "step") in steps else len(steps)
        return truth.number(steps[first:]) is not None

    def steps(self, events):
        """What the steps are made of, and where something was lost between them."""
        told = [(e["kind"], e["name"]) for e in events if e["kind"] == "lost" or ours(e)]
        return [event for event in told if event[0] in truth.KINDS]

    def thread(self, slot, thread, events, stack, whole):
        """Its last events against the steps, its stack against its last event."""
        published = self.shared.published(slot)
        what = f"thread {slot} (published {published // 4}.{published % 4})"
        steps = self.steps(events)
        if not published and ("call", "step") not in steps:
            return True
        end, first, wrong = truth.follow(steps, self.c_calls)
        self.wrong += [f"{what}: {one}" for one in wrong[:3]]
        if end is None:
            return True
        place = truth.position(*end, published, self.c_calls) if published else None
        if place:
            self.wrong.append(f"{what}: {place}")
        frames = [frame["name"] for frame in stack["frames"]] if stack else []
        open_now = [name for name in frames if truth.OURS.match(name) or name == "len"]
        expected = truth.stack(*end, self.c_calls)
        if open_now != expected:
            self.wrong.append(f"{what}: its stack is {open_now}, not {expected}")
        downs = frames.count("down")
        if published and not self.shared.after and not self.is_over(slot):
            if downs != self.case.depth + 1:
                self.wrong.append(f"{what}: {downs} frames below, not {self.case.depth + 1}")
        if self.shared.ends and self.case.ending not in ("wait", "return"):
            if slot == self.case.threads - 1 and "die" not in frames:
                self.wrong.append(f"{what}: it died in {frames[-3:]}")
        if whole and self.case.mode == "flight":
            self.history(what, thread, slot)
        if whole and thread["overwritten_events"] == 0 and not thread["lost_events"] and first != 1:
            self.wrong.append(f"{what}: it begins with step {first}")
        return True

    def is_over(self, slot):
        """Whether the thread had made all its steps."""
        return self.shared.published(slot) // 4 >= self.case.steps - 1

    def history(self, what, thread, slot):
        """A flight ring keeps at least half of the records that it has room for."""
        room = self.case.ring_size // 8
        if thread["overwritten_events"] and thread["events"] < room // 2:
            self.wrong.append(f"{what}: {thread['events']} events in a ring for {room}")
