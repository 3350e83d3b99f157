"""python -m rtrace_py [--events | --stacks | --chunks | --symbols] TRACE"""

import argparse
import itertools
import json
import os
import sys

from . import dump, events, stacks
from .cursor import FormatError
from .trace import open_trace
from .zstd import NoZstd


def lines(trace, arguments):
    if arguments.events:
        return map(json.dumps, events.events(trace))
    if arguments.stacks:
        return [json.dumps({"threads": list(stacks.stacks(trace))})]
    if arguments.chunks:
        return dump.dump(trace)
    if arguments.symbols:
        tables = [trace.file.symbols] if trace.file else []
        tables += [trace.session.symbols] if trace.session else []
        return (
            dump.symbol_line(*pair).strip() for table in tables for pair in sorted(table.items())
        )
    return dump.header_lines(trace)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="rtrace_py", description="Reads rtrace recordings.")
    parser.add_argument("trace", help="a trace.bin, or a session's directory")
    parser.add_argument("--session", metavar="DIR", help="where the rings are")
    parser.add_argument("--limit", type=int, metavar="N", help="stop after N lines")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--events", action="store_true", help="as rtrace-view events --json")
    what.add_argument("--stacks", action="store_true", help="as rtrace-view stacks --json")
    what.add_argument("--chunks", action="store_true", help="every field of every chunk")
    what.add_argument("--symbols", action="store_true", help="the symbol tables")
    arguments = parser.parse_args(arguments)
    try:
        trace = open_trace(arguments.trace, arguments.session)
        for line in itertools.islice(lines(trace, arguments), arguments.limit):
            print(line)
        sys.stdout.flush()
    except (FormatError, NoZstd, OSError) as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        print(f"rtrace_py: {arguments.trace}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
