"""What the events of the program are, and which of them must be there."""

import re

#: The functions that a step is made of; of anything else nothing is known.
OURS = re.compile(r"^(step|w[0-9a-f]|dig)$")
ENTRIES, EXITS = ("call", "c_call"), ("return", "unwind", "c_return")
KINDS = (*ENTRIES, *EXITS, "lost")


def step(n, c_calls):
    """The events of step n, and how many stand before each of its three positions."""
    digits = [f"w{n >> 4 * at & 15:x}" for at in range(5)]
    inner = []
    if n & 15 == 6 and c_calls:
        inner += [("c_call", "len"), ("c_return", "len")]
    left = "unwind" if n & 63 == 9 else "return"
    if n & 255 == 77 and left == "return":
        inner += [("call", "dig")] * 41 + [("return", "dig")] * 41
    down = [("call", "step")] + [("call", name) for name in digits]
    up = [(left, name) for name in reversed(digits)]
    events = down + inner + up + [("return", "step")]
    return events, (1, len(down), len(events) - 1)


def position(n, index, published, c_calls):
    """None where the first `index` events of step n are what a thread had recorded that had
    published this; else what is wrong."""
    at, part = divmod(published, 4)
    here, starts = step(at, c_calls)
    first = starts[part]
    # Up to the next position, which is in the next step after the last.
    last = starts[part + 1] if part < 2 else len(here) + 1
    found = index if n == at else len(here) + index if n == at + 1 else None
    if n == at - 1 and index == len(step(n, c_calls)[0]):
        found = 0
    if found is None or found < first:
        return f"lost: it ends at {n}+{index}, published was {at}+{first}"
    if found > last:
        return f"false: it ends at {n}+{index}, published was {at}+{last} at most"
    return None


def number(events):
    """The step that a run of events beginning with `call step` belongs to."""
    digits = [name for kind, name in events[1:6] if kind == "call"]
    if len(digits) < 5 or not all(OURS.match(name) and name != "step" for name in digits):
        return None
    return sum(int(name[1:], 16) << 4 * at for at, name in enumerate(digits))


def follow(events, c_calls):
    """Holds a thread's last events, (kind, name) each, against the steps.

    Gives the step and the number of its events with which they end, the step with which
    the first whole one began, and what is wrong with them. Behind events that the trace
    itself calls lost the next whole step says where it is.
    """
    wrong, end, first = [], None, None
    runs = [[]]
    for event in events:
        if event[0] == "lost":
            runs.append([])
        else:
            runs[-1].append(event)
    for at, run in enumerate(runs):
        n = None
        starts = [at for at, event in enumerate(run) if event == ("call", "step")]
        for start, stop in zip(starts, [*starts[1:], len(run)]):
            part = run[start:stop]
            told = number(part)
            n = told if n is None else n + 1
            if n is None:
                # Cut off before it said which it is: the first of the thread, or behind a loss.
                if at:
                    return None, first, wrong
                n = 1
            first = n if first is None else first
            whole = step(n, c_calls)[0]
            cut = whole if stop != len(run) else whole[: len(part)]
            if part != cut and not (stop == len(run) and at + 1 < len(runs)):
                wrong.append(f"step {n} is {part[:60]}, not {cut[:60]}")
                n = told if told is not None else n
        end = (n, len(run) - starts[-1]) if starts else None
    if end is None:
        wrong.append("no step")
    return end, first, wrong


def stack(n, index, c_calls):
    """The names of the frames of ours that are open behind the first events of step n."""
    names = []
    for kind, name in step(n, c_calls)[0][:index]:
        if kind in ENTRIES:
            names.append(name)
        else:
            names.pop()
    return names
