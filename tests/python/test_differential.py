"""Random programs and hard cases: rtrace tells what CPython tells, event by event.

The long form is a command: `python tests/python/differential --programs 2000`.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).with_name("differential")))

import compare
import hard
import known
import programs

SETTINGS = compare.settings()
# Opcodes are twenty times as many events.
PROGRAMS = {"o": 6, "l": 25}


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    try:
        return compare.build_oracle(tmp_path_factory.mktemp("oracle"))
    except compare.NoCompiler as reason:
        # Python callbacks see the same, but for `unwind` and the recursion limit.
        print(f"the oracle is written in Python here: {reason}")
        return None


def check(result):
    assert not result.differences, "\n".join(str(one) for one in result.differences[:2])
    for fault in known.FAULTS:
        if not known.affected(fault):
            assert fault.name not in result.listed, fault.what


@pytest.mark.parametrize("setting", SETTINGS, ids=repr)
def test_random_programs(setting, library):
    count = next((PROGRAMS[flag] for flag in "ol" if flag in setting.flags), 40)
    result = compare.compare([programs.generate(seed) for seed in range(count)], setting, library)
    check(result)
    assert result.programs == count
    assert result.events > 200 * count


@pytest.mark.parametrize("setting", SETTINGS, ids=repr)
def test_hard_cases(setting, library):
    result = compare.compare(hard.CASES, setting, library)
    check(result)
    assert result.programs == len(hard.CASES)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 has no sys.monitoring")
def test_a_tool_written_in_python_agrees():
    setting = compare.Setting("monitoring", "cl")
    check(compare.compare([*hard.CASES, *map(programs.generate, range(10))], setting, None))


def test_the_comparison_can_fail(library):
    setting = compare.Setting("profile", "c")
    case = hard.Case("other", "def main_other(): key(1)")
    twin = hard.Case("other", "def main_other(): key(1); key(2)")
    write = compare.ask_rtrace

    def of_another(path, setting):
        compare.write([twin], path.parent)
        return write(path, setting)

    compare.ask_rtrace = of_another
    try:
        result = compare.compare([case], setting, library)
    finally:
        compare.ask_rtrace = write
    assert [one.at for one in result.differences] == [5]


HERE = [f for f in known.FAULTS + known.SEEN if f.hook in {s.hook for s in SETTINGS}]


@pytest.mark.parametrize("fault", HERE, ids=lambda fault: fault.name)
def test_faults_of_cpython_are_where_the_table_says(fault, library, tmp_path):
    """What CPython reports in the case that the fault is named for, right or wrong."""
    if library is None:
        pytest.skip("the callbacks of Python code cannot tell")
    case = next(case for case in hard.CASES if case.seed == fault.case)
    path = compare.write([case], tmp_path)
    told = compare.ask_oracle(path, compare.Setting(fault.hook, "c"), library)
    thread, first, last = compare.outermost(told)[case.name]
    assert fault.occurs(told[thread][first:last]) == known.affected(fault)
