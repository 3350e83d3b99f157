"""A program may close descriptors that it does not know, and open its own in their place."""

import textwrap

CLOSES = """\
    import os
    os.closerange(3, 256)
    mine = [open(f"mine-{n}", "wb") for n in range(20)]
    def descend(n):
        return descend(n - 1) if n else 0
    def first(): pass
    def second(): pass
    for n in range(3000):
        first()
        second()
    descend(900)
    for file in mine:
        file.write(b"untouched")
        file.close()
    """


def test_closed_descriptors_are_not_written_to(record):
    for mode in ("full", "flight"):
        recorded = record(CLOSES, "--mode", mode)
        for n in range(20):
            assert (recorded.folder / f"mine-{n}").read_bytes() == b"untouched"
        calls = [e["name"] for e in recorded.events() if e["kind"] == "call"]
        assert calls.count("first") == calls.count("second") == 3000
        assert calls.count("descend") == 901
        info = recorded.view("info")
        assert info["lost_events"] == 0 and info["processes"][0]["end"] == "clean"
        assert recorded.view("verify")["ok"] is True


MANY = """\
    import os, threading
    def work():
        ready.wait()
    ready = threading.Event()
    threads = [threading.Thread(target=work) for _ in range(100)]
    for thread in threads:
        thread.start()
    print(len(os.listdir("/proc/self/fd")))
    ready.set()
    for thread in threads:
        thread.join()
    """


def test_threads_cost_no_descriptors(record):
    assert int(record(textwrap.dedent(MANY)).out) < 16
