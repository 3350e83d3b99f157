"""Programs that use the interpreter's hooks themselves run as they do without us."""

import importlib.util
import json
import sys

import pytest
from support import ALL_HOOKS

CORES = ["ctrace", "sysmon"] if sys.version_info >= (3, 12) else ["ctrace"]
APP = """\
def f(x):
    if x > 2:
        return g(x)
    return 0
def g(x):
    return len(str(x))
print([f(i) for i in range(5)])
"""


def has(module):
    return importlib.util.find_spec(module) is not None


@pytest.mark.skipif(not has("coverage"), reason="coverage is not installed")
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("hook", ALL_HOOKS)
def test_coverage_measures_the_same(record, hook, core):
    path = record.script(APP)
    measured = []
    for run in (record.native, lambda *a, **k: record(*a, "--hook", hook, **k)):
        done = run(("-m", "coverage", "run", str(path)), env={"COVERAGE_CORE": core})
        assert done.returncode == 0
        out = done.stdout if hasattr(done, "stdout") else done.out
        assert out == b"[0, 0, 0, 1, 1]\n"
        record.native(("-m", "coverage", "json", "-q", "-o", "cov.json"))
        measured.append(json.loads((record.folder / "cov.json").read_text())["files"])
    assert measured[0] == measured[1] and measured[0]


@pytest.mark.parametrize("hook", ALL_HOOKS)
@pytest.mark.parametrize("module", ["cProfile", "profile"])
def test_profilers_count_the_same(record, hook, module):
    source = f"""\
        import {module} as profiler, pstats, io, warnings
        def fib(n):
            return n if n < 2 else fib(n - 1) + fib(n - 2)
        p = profiler.Profile()
        p.runcall(fib, 10)
        stats = pstats.Stats(p, stream=io.StringIO())
        print([(k[2], v[0], v[1]) for k, v in sorted(stats.stats.items()) if k[2] == "fib"])
        """
    if module == "profile" and hook == "profile":
        pytest.skip("it is told of the return of the call that installed it: see the README")
    native = record.native(source)
    # The same holds under the hook `monitoring` while calls of C functions are recorded.
    flags = ["--no-c-calls"] if module == "profile" and hook == "monitoring" else []
    recorded = record(source, "--hook", hook, *flags)
    assert recorded.out == native.stdout and b"177" in native.stdout
    assert recorded.view("verify")["ok"]


@pytest.mark.parametrize("hook", ALL_HOOKS)
def test_pdb(record, hook):
    source = """\
        def f(x):
            breakpoint()
            y = x + 1
            return y
        print(f(1))
        """
    commands = b"n\nn\np y\nc\n"
    native = record.native(source, given=commands)
    recorded = record(source, "--hook", hook, given=commands)
    # From 3.13 on pdb stops by instruction events, which CPython may drop where two
    # tools ask for the same place: it may stop one line later.
    if sys.version_info < (3, 13):
        assert recorded.out == native.stdout
    assert recorded.out.splitlines()[-1] == native.stdout.splitlines()[-1]
    assert recorded.view("verify")["ok"]


@pytest.mark.skipif(not has("numpy"), reason="numpy is not installed")
@pytest.mark.parametrize("hook", ALL_HOOKS)
def test_numpy(record, hook):
    source = "import numpy\nprint(int(numpy.arange(10).sum()), numpy.sqrt(4.0))\n"
    native = record.native(source)
    assert record(source, "--hook", hook).out == native.stdout


@pytest.mark.parametrize("hook", ALL_HOOKS)
def test_a_subinterpreter(record, hook):
    source = """\
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        id = interpreters.create()
        interpreters.run_string(id, "def f(): return len('x')\\nf()\\nprint('inside', flush=True)")
        interpreters.destroy(id)
        print("outside")
        """
    native = record.native(source)
    recorded = record(source, "--hook", hook)
    assert recorded.out == native.stdout and b"inside" in recorded.out
    assert recorded.view("verify")["ok"]
