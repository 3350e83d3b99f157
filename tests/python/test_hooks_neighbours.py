"""Programs that use the interpreter's hooks themselves run as they do without us."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from support import ALL_HOOKS

CORES = ["ctrace", "sysmon"] if sys.version_info >= (3, 12) else ["ctrace"]
BYSTANDER = str(Path(__file__).with_name("bystander.py"))
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


@pytest.mark.skipif(not has("pytest_cov"), reason="pytest-cov is not installed")
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("hook", ALL_HOOKS)
def test_pytest_cov_measures_the_same(record, hook, core):
    (record.folder / "app.py").write_text(APP)
    (record.folder / "test_app.py").write_text("import app\ndef test_f(): assert app.f(3) == 1\n")
    command = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--cov=app", "--cov-report=json")
    measured = []
    for run in (record.native, lambda *a, **k: record(*a, "--hook", hook, **k)):
        done = run((*command, "test_app.py"), env={"COVERAGE_CORE": core})
        assert done.returncode == 0
        measured.append(json.loads((record.folder / "coverage.json").read_text())["files"])
        (record.folder / "coverage.json").unlink()
    assert measured[0] == measured[1] and measured[0]["app.py"]["summary"]["missing_lines"] == 0


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
        pytest.skip("it takes the place of the profile function, and is told of that call's return")
    native = record.native(source)
    # See the test below.
    flags = ["--no-c-calls"] if module == "profile" and hook == "monitoring" else []
    recorded = record(source, "--hook", hook, *flags)
    assert recorded.out == native.stdout and b"177" in native.stdout
    assert recorded.view("verify")["ok"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 has no sys.monitoring")
def test_the_python_profiler_fails_beside_any_tool_that_watches_c_calls(record):
    source = """\
        import profile
        def fib(n):
            return n if n < 2 else fib(n - 1) + fib(n - 2)
        profile.Profile().runcall(fib, 10)
        """
    beside = record.native((BYSTANDER, "monitoring", str(record.script(source))))
    assert beside.returncode == 1 and b"Bad return" in beside.stderr
    recorded = record(source, "--hook", "monitoring", status=1)
    assert b"Bad return" in recorded.err
    unwatched = record.native((BYSTANDER, "monitoring", "--no-c-calls", str(record.script(source))))
    assert unwatched.returncode == 0


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
    # On 3.13 pdb stops one line later beside any tool that watches calls, or profile function.
    beside = record.native((BYSTANDER, hook, str(record.script(source))), given=commands)
    assert recorded.out == beside.stdout
    if sys.version_info[:2] != (3, 13):
        assert recorded.out == native.stdout
    assert recorded.out.splitlines()[-1].endswith(b"2")
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


@pytest.mark.skipif(sys.version_info < (3, 14), reason="concurrent.interpreters is of 3.14")
@pytest.mark.parametrize("hook", ALL_HOOKS)
def test_an_executor_of_interpreters(record, hook):
    source = """\
        from concurrent.futures import InterpreterPoolExecutor
        def outside(n):
            return n
        with InterpreterPoolExecutor(2) as pool:
            print(list(pool.map(abs, [-1, 2, -3])), outside(4))
        """
    native = record.native(source)
    recorded = record(source, "--hook", hook)
    assert recorded.out == native.stdout and b"[1, 2, 3] 4" in recorded.out
    assert recorded.view("verify")["ok"]
    assert [e["name"] for e in recorded.events() if e["name"] == "outside"]
