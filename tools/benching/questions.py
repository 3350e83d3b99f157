"""What is asked of a large trace, and what is to be reached."""

import json
import os
from collections import namedtuple

from .watched import first_picture, watched

# `ask` gives a value of `unit`, and the process that it took, if it took one by itself.
Question = namedtuple("Question", "ask unit reach once", defaults=["s", None, False])


def of(view, trace, events, tour):
    """By name, every question to a trace of so many events."""
    info = json.loads(watched([view, "info", trace, "--json"]).output)
    length = info["duration_ns"]
    name, rare = functions(view, trace)

    def command(*arguments):
        def ask():
            ran = watched([view, *arguments[:1], trace, *arguments[1:]])
            return ran.seconds, ran

        return ask

    def at(share):
        return f"{int(length * share)}ns"

    def part(share, of):
        return command("report", "--from", at(share), "--to", at(share + of))

    asked = {
        "first picture of the terminal UI": Question(picture(view, trace), reach=0.2),
        "info": Question(command("info"), reach=0.1),
        "report": Question(command("report"), reach=1.0),
    }
    for share, of in ((0.1, 0.001), (0.35, 0.01), (0.2, 0.1), (0.25, 0.5), (0.01, 0.98)):
        asked[f"report of {of:.1%}, from {share:.0%} on"] = Question(part(share, of), reach=0.3)
    for share in (0.2, 0.7, 0.999):
        asked[f"stacks at {share:.1%}"] = Question(command("stacks", "--to", at(share)), reach=0.05)
    for kind, function in (("much called", name), ("seldom called", rare)):
        pattern = ["--function", f"^{function}$"]
        asked[f"where a {kind} function ran"] = Question(command("places", *pattern), reach=0.3)
        asked[f"longest calls of a {kind} function"] = Question(
            command("calls", *pattern, "--limit", "50"), reach=1.0
        )
        asked[f"its calls longer than 10 ms ({kind})"] = Question(
            command("calls", *pattern, "--longer-than", "10ms", "--limit", "50"), reach=1.0
        )
    if tour:
        asked.update(frames(view, trace))
    one = {min(os.sched_getaffinity(0))}
    asked["decoding and replay (verify), one core"] = Question(
        speed(view, trace, events, one), "M/s", 100.0
    )
    asked["decoding and replay (verify), two cores"] = Question(
        speed(view, trace, events, None), "M/s", 180.0
    )
    asked["index, summaries and pyramid"] = Question(
        lambda: (overhead(trace), None), "%", 8.0, True
    )
    return asked


def functions(view, trace):
    """One that is called very often and one that is called seldom, as patterns."""
    rows = json.loads(watched([view, "report", trace, "--json", "--sort", "calls"]).output)
    rows = [row for row in rows["functions"] if row["kind"] == "python" and row["calls"] > 8]

    def pattern(row):
        name = f"{row['module']}.{row['name']}"
        return "".join(c if c.isalnum() or c == "_" else "\\" + c for c in name)

    return pattern(rows[0]), pattern(rows[-1])


def picture(view, trace):
    def ask():
        ran = first_picture([view, trace])
        return ran.seconds, ran

    return ask


def speed(view, trace, events, cpus):
    def ask():
        ran = watched([view, "verify", trace], cpus=cpus)
        return events / ran.seconds / 1e6, ran

    return ask


def frames(view, trace):
    """The tour of the terminal UI, taken once: figures of all its frames."""
    taken = {}

    def figure(key):
        def ask():
            if not taken:
                ran = watched([view, "bench-frames", trace, "--json"])
                taken.update(json.loads(ran.output), ran=ran)
            return taken[key] / 1e9, taken["ran"]

        return ask

    return {
        "a frame of the terminal UI, median": Question(figure("median_ns"), once=True),
        "a frame of the terminal UI, p99": Question(figure("p99_ns"), "s", 0.005, True),
        "a frame of the terminal UI, worst": Question(figure("max_ns"), once=True),
        "the timeline after a key, first answers, p99": Question(
            figure("timeline_p99_ns"), "s", 0.1, True
        ),
    }


def overhead(trace):
    """What summaries, nodes and index take of the file, in percent."""
    size = trace.stat().st_size
    taken = 0
    with open(trace, "rb") as file:
        at = 64
        while True:
            file.seek(at)
            head = file.read(32)
            if len(head) < 32 or head[:4] != b"RTCK":
                break
            length = int.from_bytes(head[8:16], "little")
            if head[4:8] in (b"NODE", b"INDX"):
                taken += 32 + length
            elif head[4:8] == b"EVNT":
                taken += int.from_bytes(file.read(84)[80:84], "little")
            at += (32 + length + 7) // 8 * 8
    return 100 * taken / size
