"""The command ``rtrace``: ``rtrace run [options] (SCRIPT | -m MODULE | -c CODE) [ARGS...]``."""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn

from rtrace import __version__, _options

USAGE = "rtrace run [options] (SCRIPT | -m MODULE | -c CODE) [ARGS...]"


def main() -> None:
    """Run the command with ``sys.argv``; does what the program does at its end."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["run"]:
        return _run(arguments[1:])
    parser = argparse.ArgumentParser(
        prog="rtrace",
        usage=USAGE,
        description="Record a Python program: every call, return and exception.",
        epilog="The trace is read with rtrace-view. 'rtrace run --help' lists the options.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"rtrace {__version__}")
    parser.add_argument("command", choices=["run"])
    parser.parse_args(arguments)
    parser.error("what should be run?")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rtrace run",
        usage=USAGE,
        description="Record a Python program from its start to its end.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("-o", "--output", default="trace.bin", metavar="FILE", help="the trace (trace.bin)")
    add("--mode", choices=["full", "flight"], default="full", help="keep all, or the last part")
    add(
        "--hook",
        choices=["auto", "monitoring", "profile", "trace"],
        default="auto",
        help="what of the interpreter is used (auto: monitoring from 3.12 on, else profile)",
    )
    add(
        "--c-calls",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="record calls of C functions (on, except under trace)",
    )
    add("--lines", action="store_true", default=None, help="record every line")
    add("--opcodes", action="store_true", help="record every instruction")
    add("--ring-size", metavar="SIZE", help="the most that one thread keeps (64MiB; flight 16MiB)")
    add("--max-memory", metavar="SIZE", help="the most that all threads keep together (256MiB)")
    add("--ring-dir", metavar="DIR", help="where the rings are (RTRACE_RING_DIR, else /dev/shm)")
    add("--budget", type=float, metavar="PCT", help="the most that recording may cost")
    add("--include", action="append", default=[], metavar="GLOB", help="record only these; also stdlib, site-packages")
    add("--exclude", action="append", default=[], metavar="GLOB", help="do not record these; also stdlib, site-packages")
    add("--min-duration", metavar="TIME", help="take shorter calls back")
    add("--max-depth", type=int, metavar="N", help="record frames above this depth only")
    add("--no-children", action="store_true", help="record this process only")
    add("-m", dest="module", metavar="MODULE", help="run a module, as python -m does")
    add("-c", dest="code", metavar="CODE", help="run code, as python -c does")
    return parser


def split(parser: argparse.ArgumentParser, arguments: list[str]) -> tuple[list[str], list[str]]:
    """Our options, and the program with its arguments, which are not looked at."""
    actions = parser._option_string_actions
    at = 0
    while at < len(arguments):
        argument = arguments[at]
        if argument == "--":
            return arguments[:at], arguments[at + 1 :]
        if argument[:2] in ("-m", "-c"):
            return arguments[:at], arguments[at:]
        if not argument.startswith("-") or argument == "-":
            return arguments[:at], arguments[at:]
        action = actions.get(argument)
        takes_value = action is not None and action.nargs is None
        at += 2 if takes_value else 1
    return arguments, []


def _run(arguments: list[str]) -> None:
    parser = _parser()
    ours, program = split(parser, arguments)
    asked = parser.parse_args(ours)
    kind, target, rest = _target(parser, program)
    c_calls = asked.c_calls if asked.c_calls is not None else asked.hook != "trace"
    command = {"script": [target], "module": ["-m", target], "code": ["-c", target]}[kind]
    try:
        options = _options.checked(
            asked.output,
            mode=asked.mode,
            hook=asked.hook,
            c_calls=c_calls,
            lines=bool(asked.lines),
            opcodes=asked.opcodes,
            ring_size=asked.ring_size,
            max_memory=asked.max_memory,
            ring_dir=asked.ring_dir,
            budget=asked.budget,
            include=asked.include,
            exclude=asked.exclude,
            min_duration=asked.min_duration,
            max_depth=asked.max_depth,
            children=not asked.no_children,
            argv=[*command, *rest],
            runner=True,
        )
    except ValueError as error:
        _wrong_usage(str(error))
    from rtrace import _runner

    _runner.run(kind, target, rest, options)


def _target(
    parser: argparse.ArgumentParser, program: list[str]
) -> tuple[str, str, list[str]]:
    if not program:
        parser.error("what should be run? Give a SCRIPT, -m MODULE or -c CODE")
    first = program[0]
    for flag, kind in (("-m", "module"), ("-c", "code")):
        if first == flag:
            if len(program) < 2:
                parser.error(f"{flag} needs an argument")
            return kind, program[1], program[2:]
        if first.startswith(flag):
            return kind, first[2:], program[1:]
    return "script", first, program[1:]


def _wrong_usage(text: str) -> NoReturn:
    os.write(2, f"rtrace: {text}\n".encode("utf-8", "backslashreplace"))
    sys.exit(2)
