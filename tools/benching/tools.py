"""What it is run under: `begin()` gives a function that ends it and tells more of it."""

import json
import os
import shutil
import tempfile
import time


def _rtrace(**options):
    def begin():
        import rtrace

        folder = tempfile.TemporaryDirectory(prefix="rtrace-bench-")
        path = os.path.join(folder.name, "trace.bin")
        rtrace.start(path, **options)

        def end():
            began = time.perf_counter()
            rtrace.stop()
            took = time.perf_counter() - began
            told = {"stop_s": took}
            if options.get("mode") == "full":
                told["trace_bytes"] = os.path.getsize(path)
                keep = os.environ.get("RTRACE_BENCH_KEEP")
                if keep:
                    shutil.move(path, keep)
            folder.cleanup()
            return told

        return end

    return begin


def _viztracer(**options):
    def begin():
        from viztracer import VizTracer

        tracer = VizTracer(verbose=0, **options)
        tracer.start()
        return lambda: tracer.stop() or {}

    return begin


def _cprofile():
    from cProfile import Profile

    profile = Profile()
    profile.enable()

    def end():
        profile.disable()
        return {"calls": sum(entry.callcount for entry in profile.getstats())}

    return end


def _yappi():
    import yappi

    yappi.set_clock_type("cpu")
    yappi.start()
    return lambda: yappi.stop() or {}


def _cvf(**options):
    """VizTracer's own compressed file of all that was recorded."""

    def begin():
        from viztracer import VizTracer
        from viztracer.vcompressor import VCompressor

        tracer = VizTracer(verbose=0, **options)
        tracer.start()

        def end():
            tracer.stop()
            with tempfile.TemporaryDirectory(prefix="rtrace-bench-") as folder:
                path, packed = os.path.join(folder, "t.json"), os.path.join(folder, "t.cvf")
                tracer.save(path)
                with open(path) as file:
                    VCompressor().compress(json.load(file), packed)
                return {"trace_bytes": os.path.getsize(packed)}

        return end

    return begin


def private_bytes():
    """The resident memory of this process that is not shared: rings are."""
    with open("/proc/self/status") as file:
        found = dict(line.split(":", 1) for line in file)
    return sum(int(found[name].split()[0]) for name in ("RssAnon", "RssFile")) * 1024


BARE = {"bare": lambda: dict, "bare-long": lambda: dict}
SPECIAL = {
    "rtrace-budget-5": _rtrace(budget=5, c_calls=True),
    "rtrace-profile-python": _rtrace(hook="profile"),
    "viztracer-cvf": _cvf(tracer_entries=10_000_000),
}

ALL = {
    "rtrace": _rtrace(),
    "rtrace-c-calls": _rtrace(c_calls=True),
    "rtrace-full": _rtrace(mode="full"),
    "rtrace-full-c-calls": _rtrace(mode="full", c_calls=True),
    "rtrace-profile": _rtrace(hook="profile", c_calls=True),
    "rtrace-excluded": _rtrace(exclude=["*"]),
    "rtrace-min-1us": _rtrace(min_duration="1us"),
    "viztracer": _viztracer(),
    "viztracer-no-c": _viztracer(ignore_c_function=True),
    "cProfile": _cprofile,
    "yappi": _yappi,
}
