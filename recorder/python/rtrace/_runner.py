"""Runs a program as the interpreter would, recorded.

The program shares the process with this file. What it must not notice: its
arguments, its ``__main__``, ``sys.path``, its output, its exit and its
tracebacks are as they are without us.
"""

from __future__ import annotations

import atexit
import io
import os
import sys
from types import CodeType, ModuleType, TracebackType
from typing import Any

from rtrace import _children, _core
from rtrace._api import say

_exit_code: int | None = None
_pid = os.getpid()
_home = os.path.dirname(__file__)


def run(kind: str, target: str, arguments: list[str], options: dict[str, Any]) -> None:
    """Run a ``script``, ``module`` or ``code``."""
    global _exit_code
    prepare = {"script": _script, "module": _module, "code": _code}[kind]
    program: CodeType | None = None
    try:
        program, names = prepare(target, arguments)
        if names["__spec__"] is not None:
            kind = "module"
        _begin(options)
        _core._run(program, names, kind == "module")
        _exit_code = 0
    except SystemExit as error:
        _exit_code = _status(error.code)
        raise
    except BaseException:
        _exit_code = 1
        _show_only_the_program(program, kind)
        raise


def _begin(options: dict[str, Any]) -> None:
    # This command was started by a program that is recorded: it has a trace of its own.
    _children.end(exiting=False)
    _children.uninvite()
    try:
        notes = _core._prepare(options)
    except Exception as error:
        say(f"not recording: {error}")
        return
    if options["children"]:
        _children.invite()
    for note in notes:
        say(note)
    # Registered before the program registers anything, and so called last.
    atexit.register(_at_exit)


def _at_exit() -> None:
    if _core._is_recording():
        # A forked child ends here too; the trace is its parent's to finish and to announce.
        ours = os.getpid() == _pid
        path, note = _core._stop(_exit_code, ours, True)
        if ours:
            say(f"the trace is {os.fsdecode(path)}" + (f"; {note}" if note else ""))


def _status(code: object) -> int:
    if code is None:
        return 0
    return code & 0xFF if isinstance(code, int) else 1


def _fresh_main() -> ModuleType:
    module = ModuleType("__main__")
    module.__dict__["__builtins__"] = sys.modules["builtins"]
    if sys.version_info < (3, 14):
        module.__dict__["__annotations__"] = {}
    # The old one holds the names of the code that runs this: it must stay alive.
    sys.modules["__main__"], _keep[0] = module, sys.modules.get("__main__")
    return module


_keep: list[ModuleType | None] = [None]


def _set_path(first: str) -> None:
    if not sys.flags.safe_path:
        # What stands there is the directory of this command.
        sys.path[:1] = [first]


def _code(source: str, arguments: list[str]) -> tuple[CodeType, dict[str, Any]]:
    sys.argv[:] = ["-c", *arguments]
    _set_path("")
    code = compile(source, "<string>", "exec", dont_inherit=True)
    if sys.version_info >= (3, 13):
        # So that tracebacks show its lines, as they do without us.
        import linecache

        linecache._register_code(code, source, "<string>")  # type: ignore[attr-defined]
        if code in linecache.cache:
            # The first releases of 3.13 look it up by the file's name.
            linecache.cache["<string>"] = linecache.cache.pop(code)  # type: ignore[call-overload]
    names = _fresh_main().__dict__
    names["__loader__"] = sys.modules["_frozen_importlib"].BuiltinImporter  # type: ignore[attr-defined]
    return code, names


def _absolute(path: str) -> str:
    """As the interpreter makes it: nothing but a leading ``./`` is resolved."""
    if os.path.isabs(path):
        return path
    while path.startswith("./"):
        path = path[2:].lstrip("/")
    return os.path.join(os.getcwd(), path) if path not in ("", ".") else os.getcwd()


def _script(path: str, arguments: list[str]) -> tuple[CodeType, dict[str, Any]]:
    from importlib.machinery import SourceFileLoader, SourcelessFileLoader

    sys.argv[:] = [path, *arguments]
    from pkgutil import get_importer, read_code

    if get_importer(path) is not None:
        # A directory or an archive with a __main__ in it.
        _set_path(_absolute(path))
        return _main_of(None)
    file_name = _absolute(path)
    try:
        with io.open_code(file_name) as file:
            code = read_code(file)
        loader: Any = SourcelessFileLoader
        if code is None:
            with io.open_code(file_name) as file:
                source = file.read()
            loader = SourceFileLoader
    except OSError as error:
        raise SystemExit(_cannot_open(file_name, error)) from None
    _set_path(os.path.dirname(os.path.realpath(path)))
    if code is None:
        code = compile(source, file_name, "exec", dont_inherit=True)
    names = _fresh_main().__dict__
    names.update(__file__=file_name, __loader__=loader("__main__", file_name))
    if sys.version_info < (3, 15):
        names["__cached__"] = None
    return code, names


def _cannot_open(path: str, error: OSError) -> int:
    """Says it in the interpreter's words, and gives its exit status."""
    what = f"{sys.executable}: can't open file {path!r}: [Errno {error.errno}] {error.strerror}\n"
    os.write(2, what.encode("utf-8", "backslashreplace"))
    return 2


def _module(name: str, arguments: list[str]) -> tuple[CodeType, dict[str, Any]]:
    sys.argv[:] = ["-m", *arguments]
    _set_path(os.getcwd())
    return _main_of(name)


def _main_of(name: str | None) -> tuple[CodeType, dict[str, Any]]:
    """The code of a module, or of the ``__main__`` in ``sys.path[0]``, as ``python`` finds it."""
    import runpy

    finder: Any = runpy
    try:
        if name is None:
            _, spec, code = finder._get_main_module_details(finder._Error)
        else:
            _, spec, code = finder._get_module_details(name, finder._Error)
            sys.argv[0] = spec.origin
    except finder._Error as error:
        raise SystemExit(f"{sys.executable}: {error}") from None
    names = _fresh_main().__dict__
    names.update(
        __file__=spec.origin,
        __loader__=spec.loader,
        __package__=spec.parent,
        __spec__=spec,
    )
    if sys.version_info < (3, 15):
        names["__cached__"] = spec.cached
    return code, names


def _show_only_the_program(program: CodeType | None, kind: str) -> None:
    """Have an uncaught exception shown without the frames that are ours.

    Set at the last moment, around whatever hook the program left, so that the
    program itself never sees another ``sys.excepthook``.
    """
    before = sys.excepthook

    def show(
        exception: type[BaseException], value: BaseException, traceback: TracebackType | None
    ) -> Any:
        sys.excepthook = before
        value.__traceback__ = shown = _without_us(traceback, program, kind)
        return before(exception, value, shown)

    sys.excepthook = show


def _without_us(
    traceback: TracebackType | None, program: CodeType | None, kind: str
) -> TracebackType | None:
    first: list[TracebackType] = []
    rest = entry = traceback
    while entry is not None and entry.tb_frame.f_code is not program:
        if os.path.dirname(entry.tb_frame.f_code.co_filename) == _home:
            rest = entry.tb_next
        elif rest is traceback:
            first.append(entry)
        entry = entry.tb_next
    if rest is traceback or kind != "module":
        return rest
    # A module is run by runpy without us too: its entries stay.
    if program is None:
        return _from_the_search(first[:1], rest)
    for entry in reversed(first):
        rest = TracebackType(rest, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return rest


def _from_the_search(
    first: list[TracebackType], rest: TracebackType | None
) -> TracebackType | None:
    """As a module that cannot be compiled is shown: runpy was still looking for it."""
    import dis

    for entry in first:
        for step in dis.get_instructions(entry.tb_frame.f_code):
            if step.argval == "_get_module_details" and step.positions is not None:
                line = step.positions.lineno or entry.tb_lineno
                return TracebackType(rest, entry.tb_frame, step.offset, line)
    return rest
