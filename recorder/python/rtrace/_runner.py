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

from rtrace import _core
from rtrace._api import say

_exit_code: int | None = None
_pid = os.getpid()


def run(kind: str, target: str, arguments: list[str], options: dict[str, Any]) -> None:
    """Run a ``script``, ``module`` or ``code``."""
    global _exit_code
    prepare = {"script": _script, "module": _module, "code": _code}[kind]
    program: CodeType | None = None
    try:
        program, names = prepare(target, arguments)
        _begin(options)
        _core._run(program, names)
        _exit_code = 0
    except SystemExit as error:
        _exit_code = _status(error.code)
        raise
    except BaseException:
        _exit_code = 1
        _show_only_the_program(program)
        raise


def _begin(options: dict[str, Any]) -> None:
    try:
        notes = _core._prepare(options)
    except Exception as error:
        say(f"not recording: {error}")
        return
    for note in notes:
        say(note)
    # Registered before the program registers anything, and so called last.
    atexit.register(_at_exit)


def _at_exit() -> None:
    if _core._is_recording():
        path, note = _core._stop(_exit_code)
        # A forked child ends here too; the trace is its parent's to announce.
        if os.getpid() == _pid:
            say(f"the trace is {os.fsdecode(path)}" + (f"; {note}" if note else ""))


def _status(code: object) -> int:
    if code is None:
        return 0
    return code & 0xFF if isinstance(code, int) else 1


def _fresh_main() -> ModuleType:
    module = ModuleType("__main__")
    module.__dict__["__builtins__"] = sys.modules["builtins"]
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
    module = _fresh_main()
    module.__dict__.update(__loader__=sys.modules["importlib._bootstrap"].BuiltinImporter
                           if "importlib._bootstrap" in sys.modules
                           else sys.modules["_frozen_importlib"].BuiltinImporter)
    return code, module.__dict__


def _script(path: str, arguments: list[str]) -> tuple[CodeType, dict[str, Any]]:
    from importlib.machinery import SourceFileLoader, SourcelessFileLoader

    sys.argv[:] = [path, *arguments]
    from pkgutil import get_importer, read_code

    importer = get_importer(path)
    if importer is not None and not isinstance(importer, type(None)):
        # A directory or an archive with a __main__ in it.
        _set_path(path)
        return _main_of("__main__", path)
    try:
        with io.open_code(os.path.abspath(path)) as file:
            code = read_code(file)
        if code is None:
            with io.open_code(os.path.abspath(path)) as file:
                source = file.read()
    except OSError as error:
        interpreter = os.fsencode(sys.executable or "python")
        what = f": can't open file {os.path.abspath(path)!r}: [Errno {error.errno}] "
        os.write(2, interpreter + (what + f"{error.strerror}\n").encode("utf-8", "backslashreplace"))
        raise SystemExit(2) from None
    _set_path(os.path.dirname(os.path.realpath(path)))
    loader: Any = SourceFileLoader
    if code is None:
        code = compile(source, path, "exec", dont_inherit=True)
    else:
        loader = SourcelessFileLoader
    module = _fresh_main()
    module.__dict__.update(__file__=path, __cached__=None, __loader__=loader("__main__", path))
    return code, module.__dict__


def _module(name: str, arguments: list[str]) -> tuple[CodeType, dict[str, Any]]:
    sys.argv[:] = ["-m", *arguments]
    _set_path(os.getcwd())
    return _main_of(name, None)


def _main_of(name: str, path: str | None) -> tuple[CodeType, dict[str, Any]]:
    """The code of a module to be run as ``__main__``, found as ``python -m`` does."""
    import runpy

    find: Any = runpy._get_main_module_details if path is not None else runpy._get_module_details  # type: ignore[attr-defined]
    # A directory's own __main__ is looked for where this process has one already.
    hidden = sys.modules.pop("__main__", None) if path is not None else None
    try:
        _, spec, code = find(runpy._Error) if path is not None else find(name, runpy._Error)  # type: ignore[attr-defined]
    except runpy._Error as error:  # type: ignore[attr-defined]
        raise SystemExit(f"{sys.executable}: {error}") from None
    finally:
        if hidden is not None:
            sys.modules["__main__"] = hidden
    if path is None:
        sys.argv[0] = spec.origin
    module = _fresh_main()
    module.__dict__.update(
        __file__=spec.origin,
        __cached__=spec.cached,
        __loader__=spec.loader,
        __package__=spec.parent,
        __spec__=spec,
    )
    return code, module.__dict__


def _show_only_the_program(program: CodeType | None) -> None:
    """Have an uncaught exception shown without the frames that are ours.

    Set at the last moment, around whatever hook the program left, so that the
    program itself never sees another ``sys.excepthook``.
    """
    before = sys.excepthook

    def show(
        kind: type[BaseException], value: BaseException, traceback: TracebackType | None
    ) -> Any:
        sys.excepthook = before
        shown = traceback
        while shown is not None and shown.tb_frame.f_code is not program:
            shown = shown.tb_next
        value.__traceback__ = shown
        return before(kind, value, shown)

    sys.excepthook = show
