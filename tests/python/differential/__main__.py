"""Random programs under CPython's own callbacks and under rtrace: the same events?

    python tests/python/differential --programs 2000 --seed 1 --hook all

Prints what was compared and the first difference, with the smallest program
found that shows it. Exit status 1 where there is one. The interpreter that runs
this is the one that is tested; rtrace must be installed in it.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import compare  # noqa: E402
import programs  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="of the first program")
    parser.add_argument("--hook", default="all", help="all, or profile, trace, monitoring")
    parser.add_argument("--batch", type=int, default=100, help="programs in one process")
    parser.add_argument("--keep-going", action="store_true", help="all differences, none made smaller")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rtrace-oracle-") as folder:
        try:
            library = compare.build_oracle(folder)
        except compare.NoCompiler as reason:
            print(f"the callbacks are Python's: {reason}")
            library = None
        return check(arguments, library)


def check(arguments, library):
    status = 0
    for setting in compare.settings():
        if arguments.hook not in ("all", setting.hook, repr(setting)):
            continue
        began, total = time.monotonic(), compare.Result()
        last = arguments.seed + arguments.programs
        for first in range(arguments.seed, last, arguments.batch):
            seeds = range(first, min(first + arguments.batch, last))
            total.add(compare.compare([programs.generate(seed) for seed in seeds], setting, library))
            if total.differences and not arguments.keep_going:
                break
        version = ".".join(map(str, sys.version_info[:3]))
        print(
            f"{version} {setting}: {total.programs} programs, {total.threads} sequences,"
            f" {total.events} events, {len(total.differences)} differ;"
            f" listed: {dict(total.listed) or 'none'}; {time.monotonic() - began:.0f} s",
            flush=True,
        )
        if total.differences:
            status = 1
            show(total.differences, arguments.keep_going, setting, library)
    return status


def show(differences, all_of_them, setting, library):
    if all_of_them:
        for difference in differences:
            print(difference)
        return
    smallest = compare.shrink(differences[0], setting, library)
    print(smallest)
    print(f"--- {smallest.program.name}")
    print(smallest.program.source)


if __name__ == "__main__":
    sys.exit(main())
