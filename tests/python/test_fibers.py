"""Greenlets: one lane each, told apart exactly; gevent and uvloop with them."""

import json
import signal
import sys
from collections import defaultdict

import pytest
from support import ALL_HOOKS, HOOKS, ROOT, Path, environment, run_view, subprocess, view

greenlet = pytest.importorskip("greenlet", reason="greenlet is not installed")
gevent_there = pytest.mark.skipif(
    pytest.importorskip("importlib.util").find_spec("gevent") is None,
    reason="gevent is not installed",
)
uvloop_there = pytest.mark.skipif(
    pytest.importorskip("importlib.util").find_spec("uvloop") is None,
    reason="uvloop is not installed",
)

HERE = Path(__file__).parent
ORACLE = str(HERE / "fiber_oracle.py")
PROGRAMS = ["nested", "deep", "random_walk", "threads"]
C_NAMES = {"switch", "throw", "len", "getcurrent"}
FOLDED = {"resume": "call", "throw": "call", "yield": "return", "unwind": "return"}
ENTRIES = {"call", "resume", "throw", "c_call"}
EXITS = {"return", "yield", "unwind", "c_return", "c_exception"}


def by_lane(events):
    """Entries and exits by thread and fiber, as (kind, name)."""
    lanes = defaultdict(list)
    for event in events:
        if event["kind"] in ENTRIES | EXITS:
            lanes[event["thread"], event["fiber"]].append((event["kind"], event["name"]))
    return lanes


def check_balance(events):
    """Every exit is of the call that is innermost on its lane; gives what stays open."""
    lanes = {}
    for event in events:
        # What is open at a lane's first event was entered before there was one.
        inside = event["depth"] + (event["kind"] in EXITS)
        lane = lanes.setdefault((event["thread"], event["fiber"]), [None] * inside)
        if event["kind"] in ENTRIES:
            assert event["depth"] == len(lane), event
            lane.append(event["name"])
        elif event["kind"] in EXITS:
            assert lane and lane.pop() in (None, event["name"]), event
            assert event["depth"] == len(lane), event
    return {lane: names for lane, names in lanes.items() if names}


sys.path.insert(0, str(ROOT / "tools"))

from rtrace_py import open_trace, zstd  # noqa: E402
from rtrace_py.events import events  # noqa: E402
from rtrace_py.stacks import stacks  # noqa: E402


def check_readers(recorded):
    """`verify` finds nothing, and the independent reader prints the same."""
    assert recorded.view("verify")["ok"]
    if zstd.available():
        ours, theirs = list(events(open_trace(str(recorded.trace)))), recorded.events()
        for number, (one, other) in enumerate(zip(ours, theirs)):
            assert one == other, f"line {number + 1}"
        assert len(ours) == len(theirs)


# The hook `trace` sees no C calls.
SEEN = [(hook, calls) for hook in HOOKS for calls in ("c", "python")] + [("trace", "python")]


@pytest.mark.parametrize("hook, c_calls", SEEN)
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_lane_is_as_an_oracle_saw_it(record, tmp_path, program, hook, c_calls):
    expected = subprocess.run(
        [sys.executable, ORACLE, program, hook, c_calls],
        env=environment(), capture_output=True, cwd=tmp_path, timeout=120, check=True,
    )  # fmt: skip
    flag = "--c-calls" if c_calls == "c" else "--no-c-calls"
    recorded = record((ORACLE, program, "none", c_calls), "--hook", hook, flag)
    assert recorded.out == expected.stdout
    events = recorded.events()
    check_balance(events)
    names = {t["serial"]: t["name"] for t in recorded.view("info")["processes"][0]["threads"]}
    ours = defaultdict(dict)
    # The program's own functions, and of C functions those that it calls itself.
    callers = {}
    for event in events:
        inside = event["depth"] + (event["kind"] in EXITS)
        lane = callers.setdefault((event["thread"], event["fiber"]), ["other"] * inside)
        is_program = bool(event["file"]) and event["file"].endswith("fiber_programs.py")
        if event["kind"] in ENTRIES:
            wanted = is_program or (
                event["file"] is None and bool(lane) and lane[-1] == "program"
                and event["name"].split(".")[-1] in C_NAMES
            )  # fmt: skip
            lane.append("program" if is_program else "wanted" if wanted else "other")
        elif event["kind"] in EXITS:
            wanted = lane.pop() != "other"
        else:
            continue
        if wanted and event["name"] != "<module>":
            kind = event["kind"]
            kind = kind if hook == "monitoring" else FOLDED.get(kind, kind)
            name = event["name"].split(".")[-1] if event["file"] is None else event["name"]
            lanes = ours[names[event["thread"]]]
            lanes.setdefault(str(event["fiber"]), []).append([kind, name])
    theirs = json.loads(expected.stderr)
    assert set(ours) == set(theirs)
    for thread, lanes in theirs.items():
        assert set(ours[thread]) == set(lanes), thread
        for fiber, log in lanes.items():
            assert ours[thread][fiber] == log, (thread, fiber)
    check_readers(recorded)


GEVENT = """\
    import gevent
    from gevent.pool import Pool
    from gevent.queue import Queue
    queue = Queue()
    def work(n):
        gevent.sleep(0.001 * (n % 3))
        queue.put(n)
        return n * 2
    def consumer():
        for _ in range(50):
            queue.get()
    def boss():
        pool = Pool(7)
        eater = gevent.spawn(consumer)
        print(sum(pool.map(work, range(50))))
        eater.join()
    boss()
    """


@gevent_there
@pytest.mark.parametrize("mode", ["full", "flight"])
@pytest.mark.parametrize("hook", ALL_HOOKS)
def test_gevent(record, hook, mode):
    recorded = record(GEVENT, "--hook", hook, "--mode", mode)
    assert recorded.out == b"2450\n"
    events = recorded.events()
    check_balance(events)
    fibers = {event["fiber"] for event in events if event["name"] == "work"}
    assert len(fibers) > 7 and 0 not in fibers
    lanes = recorded.view("tree")["lanes"]
    works = [root for lane in lanes for root in walk(lane["roots"]) if root["name"] == "work"]
    assert sum(node["calls"] for node in works) == 50
    check_readers(recorded)


def walk(nodes):
    for node in nodes:
        yield node
        yield from walk(node["children"])


MANY_WAIT = """\
    import sys, time, greenlet
    main = greenlet.getcurrent()
    def down(n):
        if n:
            return down(n - 1)
        main.switch()
    def bottom(n):
        down(n)
    def work(n):
        pass
    def busy(n):
        for i in range(n):
            work(i)
    all_of_them = [greenlet.greenlet(bottom) for _ in range(50)]
    def start():
        for n, one in enumerate(all_of_them):
            one.switch(n * 2)
        if "inside" in sys.argv:
            greenlet.greenlet(wait).switch()
        wait()
    def wait():
        busy(int(sys.argv[1]))
        print("ready", flush=True)
        while True:
            time.sleep(0.05)
    start()
    """


@pytest.mark.parametrize("where", ["main", "inside"])
@pytest.mark.parametrize("mode, calls", [("full", 1000), ("flight", 100), ("flight", 100_000)])
def test_stacks_that_wait_are_known_at_death(record, mode, calls, where):
    flags = ("--mode", mode, "--no-c-calls", "--ring-size", "64KiB")
    recorded = record.start(MANY_WAIT, *flags, arguments=(str(calls), where))
    recorded.wait_for("ready")
    check_waiting(recorded.view("stacks"), where)
    recorded.kill(signal.SIGKILL)
    check_waiting(recorded.view("stacks"), where)
    if mode == "flight":
        # Nobody moves records meanwhile: two readers see the same.
        compare_stacks(recorded)
    assert recorded.view("verify")["ok"]
    if mode == "full":
        record.settle()
    else:
        packed = record.folder / "packed.bin"
        view_pack(recorded, packed)
        recorded.trace = packed
    check_waiting(recorded.view("stacks"), where)
    compare_stacks(recorded)
    assert recorded.view("verify")["ok"]


def view_pack(recorded, packed):
    run_view("pack", recorded.trace, "-o", packed, check=0)


def compare_stacks(recorded):
    """The independent reader finds the same frames open on every lane, for as long."""
    if zstd.available():
        assert list(stacks(open_trace(str(recorded.trace)))) == recorded.view("stacks")["threads"]


def check_waiting(shown, where):
    found = {t["fiber"]: [f["name"] for f in t["frames"]] for t in shown["threads"]}
    for n in range(50):
        assert found[n + 1] == ["bottom"] + ["down"] * (2 * n + 1), n
    inside = where == "inside"
    assert found[0] == ["<module>", "start"] + ([] if inside else ["wait"])
    assert found.get(51) == (["wait"] if inside else None)
    assert all(frame["open_ns"] > 0 for t in shown["threads"] for frame in t["frames"])


FROM_INSIDE = """\
    import sys, greenlet, rtrace
    main = greenlet.getcurrent()
    def waits(n):
        if n:
            return waits(n - 1)
        main.switch()
        after()
        main.switch()
    def after():
        pass
    def begins():
        rtrace.start(sys.argv[1])
        early.switch()
        main.switch()
        after()
        print(rtrace.stop())
    def run():
        early.switch(3)
        late = greenlet.greenlet(begins)
        late.switch()
        after()
        late.switch()
        late.switch()
    early = greenlet.greenlet(waits)
    run()
    assert greenlet.gettrace() is None
    """


def test_recording_that_begins_inside_a_greenlet(record, tmp_path):
    trace = tmp_path / "trace.bin"
    record.python(FROM_INSIDE, trace)
    events = [event for event in view("events", trace) if event["name"] == "after"]
    lanes = by_lane(events)
    serial = events[0]["thread"]
    # The one that recording began in, the one that waited then, and the thread's own stack,
    # to which that one switched when it was run.
    assert lanes[serial, 1] == [("call", "after"), ("return", "after")]
    assert lanes[serial, 0] == lanes[serial, 2] == lanes[serial, 1]
    tree = {lane["fiber"]: lane["roots"] for lane in view("tree", trace)["lanes"]}
    # What had begun stands on the thread's own stack until the first switch says whose it is:
    # which of the two is longer, and first, is a matter of time.
    names = [node["name"] for node in walk(tree[0])]
    assert names[names.index("<module>") + 1] == "run"
    assert [node["name"] for node in walk(tree[1])][0] == "begins"
    assert [node["name"] for node in walk(tree[2])][:4] == ["waits"] * 4
    assert all(node["began_before"] for lane in tree.values() for node in lane)
    assert view("verify", trace)["ok"]


CHAINED = """\
    import sys, greenlet, rtrace
    main = greenlet.getcurrent()
    seen = []
    def theirs(event, pair):
        seen.append((event, [one is main for one in pair]))
        if len(seen) == 5:
            raise RuntimeError("theirs")
    def work():
        for _ in range(3):
            step()
            main.switch()
    def step():
        pass
    def run():
        one = greenlet.greenlet(work)
        while not one.dead:
            try:
                one.switch()
            except RuntimeError as error:
                print(error)
    greenlet.settrace(theirs)
    if len(sys.argv) > 1:
        rtrace.start(sys.argv[1])
    run()
    print(seen)
    greenlet.settrace(None)
    seen.clear()
    greenlet.settrace(theirs)
    if len(sys.argv) > 1:
        rtrace.stop()
        rtrace.start(sys.argv[1] + "2")
    work_after = greenlet.greenlet(step)
    work_after.switch()
    print(len(seen))
    if len(sys.argv) > 1:
        rtrace.stop()
    print(greenlet.gettrace() is theirs)
    """


def test_a_tracer_that_was_there_before_sees_what_it_would_have_seen(record, tmp_path):
    trace = tmp_path / "trace.bin"
    with_us = record.python(CHAINED, trace)
    without = record.python(CHAINED)
    assert with_us.stdout == without.stdout
    events = view("events", trace)
    check_balance([event for event in events if event["fiber"]])
    steps = [event for event in events if event["name"] == "step" and event["kind"] == "call"]
    assert steps and all(event["fiber"] == 1 for event in steps)


REPLACED = """\
    import greenlet
    main = greenlet.getcurrent()
    def work():
        while True:
            step()
            main.switch()
    def step():
        pass
    def run():
        one = greenlet.greenlet(work)
        one.switch()
        greenlet.settrace(lambda *_: None)
        for _ in range(3000):
            one.switch()
            step()
    run()
    """


def test_a_tracer_that_takes_our_place_is_said_once(record):
    recorded = record(REPLACED)
    lost = [event for event in recorded.events() if event["kind"] == "lost"]
    assert [(event["count"], event["cause"]) for event in lost] == [(0, "hook")]
    assert recorded.view("report")["complete"] is False
    assert recorded.view("verify")["ok"]


HANDS_ON = """\
    import greenlet
    main = greenlet.getcurrent()
    def work():
        while True:
            step()
            main.switch()
    def step():
        pass
    def run():
        one = greenlet.greenlet(work)
        one.switch()
        before = greenlet.gettrace()
        greenlet.settrace(lambda *event: before(*event))
        for _ in range(3000):
            one.switch()
            step()
    run()
    """


def test_a_tracer_in_front_of_ours_that_hands_on_is_no_loss(record):
    events = record(HANDS_ON, "--no-c-calls").events()
    assert not [event for event in events if event["kind"] == "lost"]
    check_balance(events)
    steps = [e["fiber"] for e in events if e["name"] == "step" and e["kind"] == "call"]
    assert steps == [1] + [1, 0] * 3000


FORKS = """\
    import os, greenlet
    main = greenlet.getcurrent()
    def waits():
        main.switch()
        leaf()
    def leaf():
        pass
    def forks():
        pid = os.fork()
        leaf()
        if pid == 0:
            other.switch()
            os._exit(0)
        os.waitpid(pid, 0)
    other = greenlet.greenlet(waits)
    def run():
        other.switch()
        greenlet.greenlet(forks).switch()
        leaf()
    run()
    """


def test_a_fork_inside_a_greenlet(record):
    recorded = record(FORKS, "--no-c-calls")
    parent, child = recorded.view("info")["processes"]
    events = [event for event in recorded.events() if event["pid"] == child["pid"]]
    lanes = by_lane(events)
    serial = events[0]["thread"]
    assert lanes[serial, 2][:2] == [("call", "leaf"), ("return", "leaf")]
    assert lanes[serial, 1][:2] == [("call", "leaf"), ("return", "leaf")]
    tree = {
        lane["fiber"]: [node["name"] for node in walk(lane["roots"])]
        for lane in recorded.view("tree")["lanes"]
        if lane["pid"] == child["pid"]
    }
    assert tree[2][:2] == ["forks", "leaf"] and tree[1][:2] == ["waits", "leaf"]
    assert tree[0][:2] == ["<module>", "run"]


THREAD_ENDS = """\
    import threading, greenlet
    def worker():
        main = greenlet.getcurrent()
        def waits():
            main.switch()
        for _ in range(20):
            keep.append(greenlet.greenlet(waits))
            keep[-1].switch()
    keep = []
    for i in range(10):
        one = threading.Thread(target=worker)
        one.start()
        one.join()
    print(len(keep))
    """


@pytest.mark.parametrize("hook", ALL_HOOKS)
def test_threads_that_end_with_greenlets_that_wait(record, hook):
    recorded = record(THREAD_ENDS, "--hook", hook)
    assert recorded.out == b"200\n"
    assert recorded.view("verify")["ok"]
    check_balance(recorded.events())


MANY = """\
    import greenlet
    def leaf():
        pass
    def run():
        for _ in range(5000):
            greenlet.greenlet(leaf).switch()
    run()
    """


def test_fibers_are_numbered_once(record):
    events = record(MANY, "--no-c-calls").events()
    calls = [e["fiber"] for e in events if e["name"] == "leaf" and e["kind"] == "call"]
    assert calls == list(range(1, 5001))


UVLOOP = """\
    import asyncio, uvloop
    async def leaf(n):
        await asyncio.sleep(0.001 * (n % 3))
        return n
    async def main():
        print(sum(await asyncio.gather(*(leaf(n) for n in range(50)))))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    """


@uvloop_there
@pytest.mark.parametrize("hook", ALL_HOOKS)
def test_uvloop(record, hook):
    recorded = record(UVLOOP, "--hook", hook)
    assert recorded.out == b"1225\n"
    events = recorded.events()
    assert check_balance(events) == {}
    first = [e for e in events if e["name"] == "leaf" and e["kind"] in ("call", "c_call")]
    assert len(first) >= 50 and {event["fiber"] for event in events} == {0}
    check_readers(recorded)


TOO_DEEP = """\
    import sys, greenlet
    main = greenlet.getcurrent()
    def down(n):
        return down(n - 1) if n else main.switch()
    sys.setrecursionlimit(100_000)
    one = greenlet.greenlet(down)
    one.switch(60_000)
    """


def test_a_stack_that_the_budget_leaves_no_room_for_is_said_once(record):
    recorded = record(TOO_DEEP, "--mode", "flight", "--max-memory", "2MiB", "--no-c-calls")
    lost = [event for event in recorded.events() if event["kind"] == "lost"]
    assert [(e["fiber"], e["count"], e["cause"]) for e in lost] == [(1, 0, "depth")]
    check_readers(recorded)
