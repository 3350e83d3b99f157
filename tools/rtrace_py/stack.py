"""Keyframes (SPEC section 4.2) and the replay of a lane's stack (section 3)."""

from .records import POP, PUSH

ID_MASK = 0xFFFFFFF
BEGAN_BEFORE, RESUMED, IS_C = 1 << 28, 1 << 29, 1 << 30


class Frame:
    """An open call: the tick at which it was entered and its frame word."""

    __slots__ = ("tick", "word")

    def __init__(self, tick, word):
        self.tick = tick
        self.word = word

    @property
    def id(self):
        return self.word & ID_MASK


class Keyframe:
    """`outer + inner` frames of the `depth` that were open, outermost first."""

    def __init__(self, depth, outer, frames):
        self.depth = depth
        self.outer = outer
        self.frames = frames


def keyframe(cursor, depth, outer, inner):
    n = outer + inner
    cursor.count(n, 12)
    if n > depth:
        cursor.fail(f"a keyframe of {n} frames at depth {depth}")
    ticks = [cursor.u64() for _ in range(n)]
    words = [cursor.u32() for _ in range(n)]
    if n % 2:
        cursor.take(4)
    return Keyframe(depth, outer, [Frame(*pair) for pair in zip(ticks, words)])


class Stack:
    """The open frames of one fiber, innermost last.

    The frames between the outermost and the innermost that a keyframe leaves
    out are one entry, `hidden`, counted and never stored one by one.
    """

    def __init__(self, start=None):
        start = start or Keyframe(0, 0, [])
        self.outer = start.frames[: start.outer]
        self.inner = start.frames[start.outer :]
        self.hidden = start.depth - len(start.frames)

    @property
    def depth(self):
        return len(self.outer) + self.hidden + len(self.inner)

    def reveal(self, outermost):
        """Fills in hidden frames from the outermost ones that are known elsewhere."""
        if not self.hidden:
            return
        room = self.depth - len(self.inner)
        known = outermost[:room]
        if all(mine.id == theirs.id for mine, theirs in zip(self.outer, known)):
            self.outer = known + self.outer[len(known) :]
            self.hidden = room - len(self.outer)

    def frames(self):
        """What is known, outermost first; a number stands for so many hidden frames."""
        return self.outer + ([self.hidden] if self.hidden else []) + self.inner

    def push(self, tick, word):
        self.inner.append(Frame(tick, word))

    def pop(self, symbol):
        """Pops down to the innermost known frame of `symbol`.

        A hidden frame on top is popped by any exit, but nothing is looked for
        below hidden frames. Says whether a frame was popped.
        """
        if self.hidden and not self.inner:
            self.hidden -= 1
            return True
        for at in range(len(self.inner) - 1, -1, -1):
            if self.inner[at].id == symbol:
                del self.inner[at:]
                return True
        if self.hidden:
            return False
        for at in range(len(self.outer) - 1, -1, -1):
            if self.outer[at].id == symbol:
                del self.outer[at:]
                self.inner.clear()
                return True
        return False

    def apply(self, record):
        """Replays one record; gives the depth that its event has."""
        if record.kind in PUSH:
            depth = self.depth
            word = record.id
            if record.kind == "c_call":
                word |= IS_C
            elif record.kind != "call":
                word |= RESUMED
            self.push(record.tick, word)
            return depth
        if record.kind in POP:
            self.pop(record.id)
            return self.depth
        return self.python_depth()

    def at(self, depth):
        """The id at `depth`, 0 the outermost; 0 where it is hidden."""
        if depth < len(self.outer):
            return self.outer[depth].id
        depth -= len(self.outer) + self.hidden
        return self.inner[depth].id if 0 <= depth < len(self.inner) else 0

    def innermost_python(self):
        """The innermost open Python frame and its depth; None if not known."""
        for at in range(len(self.inner) - 1, -1, -1):
            if not self.inner[at].word & IS_C:
                return self.inner[at], len(self.outer) + self.hidden + at
        if self.hidden:
            return None, len(self.outer) + self.hidden - 1
        for at in range(len(self.outer) - 1, -1, -1):
            if not self.outer[at].word & IS_C:
                return self.outer[at], at
        return None, 0

    def python_depth(self):
        return self.innermost_python()[1]


class Lanes:
    """The stacks of a thread's fibers, of which one runs."""

    def __init__(self, fiber, start):
        self.fiber = fiber
        self.stack = Stack(start)
        self.waiting = {}

    def follow(self, fiber, start):
        """Whether a keyframe is one of the running stack."""
        return fiber == self.fiber and start.depth == self.stack.depth

    def apply(self, record):
        """Replays one record; gives the depth that its event has."""
        if record.kind != "switch":
            return self.stack.apply(record)
        if self.stack.depth:
            self.waiting[self.fiber] = self.stack
        self.fiber, depth = record.fields["fiber"], record.fields["depth"]
        frames = [Frame(tick, word) for tick, word in record.fields["frames"]]
        known = self.waiting.pop(self.fiber, None) or Stack()
        self.stack = known
        if not self._agree(known, depth, frames):
            self.stack = Stack(Keyframe(depth, 0, frames))
        elif known.hidden and len(frames) > len(known.inner):
            outer = known.outer[: depth - len(frames)]
            self.stack = Stack(Keyframe(depth, len(outer), outer + frames))
        return self.stack.python_depth()

    @staticmethod
    def _agree(stack, depth, frames):
        if stack.depth != depth:
            return False
        pairs = ((stack.at(depth - 1 - i), one.id) for i, one in enumerate(reversed(frames)))
        return all(mine == theirs or not mine or not theirs for mine, theirs in pairs)
