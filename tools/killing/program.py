"""The program that is killed: its calls are known, and it says how far it is.

    program.py SHARED THREADS DEPTH STEPS ENDING AT [SNAPSHOT]

Each thread makes steps. Step n calls five functions, one inside the other, whose names
are the hexadecimal digits of n: so the calls alone say which step they are. Before each
stretch of events the thread stores a position in its word of SHARED by one aligned
8-byte store: an assignment to a `c_uint64` is one, `struct.pack_into` is not.
"""

import ctypes
import mmap
import os
import signal
import sys
import threading

# The words of the shared page: one for each thread, then these.
BEGUN, ENDS, AFTER = 56, 57, 58

with open(sys.argv[1], "r+b") as file:
    page = mmap.mmap(file.fileno(), 4096)


def word(at):
    return ctypes.c_uint64.from_buffer(page, 8 * at)


class Wrong(Exception):
    pass


DIGIT = """\
def {name}(n, rest, left, place):
    if left:
        digits[rest & 15](n, rest >> 4, left - 1, place)
        return
    place.value = 4 * n + 1
    if n & 15 == 6:
        len("six")
    if n & 63 == 9:
        raise Wrong
    if n & 255 == 77:
        dig(40)
"""
digits = []
for at in range(16):
    exec(compile(DIGIT.format(name=f"w{at:x}"), __file__, "exec"))
    digits.append(globals()[f"w{at:x}"])


def dig(n):
    if n:
        dig(n - 1)


def step(n, place):
    place.value = 4 * n
    try:
        digits[n & 15](n, n >> 4, 4, place)
    except Wrong:
        pass
    place.value = 4 * n + 2


def down(depth, work):
    if depth:
        down(depth - 1, work)
    else:
        work()


def die(how):
    word(ENDS).value = 1
    if how == "segv":
        ctypes.string_at(0)
    elif how == "abort":
        os.abort()
    elif how == "exit":
        os._exit(7)
    elif how == "exec":
        os.execv("/bin/true", ["/bin/true"])
    elif how == "overflow":
        # A C function that calls itself for each parenthesis.
        ctypes.CDLL(None).regcomp(ctypes.create_string_buffer(256), b"(" * 1_000_000, 1)
    elif how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)


def snapshot(path):
    import rtrace

    rtrace.snapshot(path)


def main():
    threads, depth, steps, at = (int(text) for text in sys.argv[2:5] + sys.argv[6:7])
    how, snapshots = sys.argv[5], sys.argv[7:]
    sys.setswitchinterval(0.0005)

    def work(slot):
        place = word(slot)
        for n in range(1, steps):
            step(n, place)
            if n == at and slot == threads - 1:
                die(how)
            if snapshots and slot == 0 and n % 400 == 0:
                snapshot(snapshots[0])

    others = [
        threading.Thread(target=down, args=(depth, lambda slot=slot: work(slot)), daemon=True)
        for slot in range(1, threads)
    ]
    word(BEGUN).value = 1
    for other in others:
        other.start()
    down(depth, lambda: work(0))
    for other in others:
        other.join()
    word(AFTER).value = 1


main()
