"""Runs a process and watches the memory that is its own."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import threading
import time
from collections import namedtuple

Ran = namedtuple("Ran", "seconds cpu own output")

PAUSE = 0.001


def watched(command, cpus=None):
    """Runs it to its end: seconds, seconds of CPU, most bytes of its own, what it printed."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=(lambda: os.sched_setaffinity(0, cpus)) if cpus else None,
    )
    own = Own(process.pid)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"bench-trace: {' '.join(map(str, command))} ended with {status}")
    return Ran(seconds, usage.ru_utime + usage.ru_stime, own.most(), output)


def first_picture(command, columns=200, rows=60, pause=0.25):
    """Runs it on a terminal until it has drawn something and then nothing for a moment, as it
    does before it refines what it shows: seconds to the last byte, most bytes of its own."""
    began = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(command[0], [str(part) for part in command])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    own = Own(pid)
    last, drawn = began, 0
    # A screen of this size takes more bytes than it has columns and rows.
    while select.select([terminal], [], [], pause if drawn > columns * rows // 4 else 30)[0]:
        try:
            drawn += len(os.read(terminal, 1 << 16))
        except OSError:
            break
        last = time.perf_counter()
    most = own.most()
    os.write(terminal, b"q")
    _, _, usage = os.wait4(pid, 0)
    os.close(terminal)
    return Ran(last - began, usage.ru_utime + usage.ru_stime, most, b"")


class Own:
    """Looks at a process's anonymous memory until it ends."""

    def __init__(self, pid):
        self.path = f"/proc/{pid}/status"
        self.peak = 0
        self.stop = False
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def look(self):
        while not self.stop:
            try:
                with open(self.path, encoding="ascii", errors="replace") as status:
                    for line in status:
                        if line.startswith("RssAnon:"):
                            self.peak = max(self.peak, int(line.split()[1]) * 1024)
            except OSError:
                return
            time.sleep(PAUSE)

    def most(self):
        self.stop = True
        self.thread.join()
        return self.peak
