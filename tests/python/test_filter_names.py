"""The names that filters know beside globs."""

PROGRAM = """\
    import json
    def mine():
        return json.dumps({"a": [1, 2]}, indent=1)
    for _ in range(3):
        mine()
    """


def modules(recorded):
    return {row["module"] for row in recorded.view("report")["functions"] if row["kind"] == "python"}


def test_without_the_standard_library(record):
    assert "json.encoder" in modules(record(PROGRAM))
    recorded = record(PROGRAM, "--exclude", "stdlib")
    assert modules(recorded) == {"__main__"}
    rows = {row["name"]: row["calls"] for row in recorded.view("report")["functions"]}
    assert rows["mine"] == 3
    assert recorded.view("info")["processes"][0]["filtered_functions"] > 5


def test_only_the_standard_library(record):
    found = modules(record(PROGRAM, "--include", "stdlib"))
    assert "json.encoder" in found and "__main__" not in found


def test_without_installed_packages(record):
    folder = record.folder / "site-packages" / "thing"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("def work():\n    return 1\n")
    source = f"import sys\nsys.path.insert(0, {str(folder.parent)!r})\nimport thing\nthing.work()\n"
    assert "thing" in modules(record(source))
    found = modules(record(source, "--exclude", "site-packages"))
    assert "thing" not in found and "__main__" in found
