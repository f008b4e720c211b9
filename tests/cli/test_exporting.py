"""`phasenb export`: files that other programs read, and everything of a task in a folder."""

import json
import textwrap

import pandas as pd
import pytest

from phasenb.cli.exits import Exit

FLOW = """
    import pandas as pd
    import phasenb as pn

    flow = pn.Workflow("kept", phases=("make", "use"))

    @flow.phase("make")
    def make(ctx):
        print("making")
        for name, value in {"note": {"a": 1}, "note.json": [2], "../out": "up", ".hidden": "no"}.items():
            ctx.artifact(name, value)
        return pd.DataFrame({"x": range(100_000)})

    @flow.phase("use")
    def use(make):
        return int(make["x"].sum())
"""


@pytest.fixture
def task(run, folder):
    path = folder / "kept.py"
    path.write_text(textwrap.dedent(FLOW))
    done = run("launch", path, "--wait", "--json")
    assert done.code == 0, done.err
    return done.lines[-1]["task_id"]


def test_files_of_each_kind(run, folder, task):
    assert run("export", task, "results.csv").out == "results.csv\n"
    assert run("export", task[-8:], "events.parquet", "--what", "events").code == 0
    assert run("export", task, "logs.json", "--what", "logs", "--json").lines == [{"path": "logs.json"}]
    results = pd.read_csv(folder / "results.csv")
    assert list(results["phase"]) == ["make", "use"]
    assert json.loads(results["output"][0])["codec"] == "parquet"
    assert json.loads(results["output"][1]) == 4999950000
    events = pd.read_parquet(folder / "events.parquet")
    assert list(events["seq"]) == list(range(1, len(events) + 1))
    assert json.loads(events["body"].iloc[-1])["type"] == "task_complete"
    assert str(events["at"].dtype) == "datetime64[us, UTC]"
    [line] = json.loads((folder / "logs.json").read_text())
    assert (line["text"], line["phase"]) == ("making", "make")


def test_a_folder_holds_everything_and_nothing_leaves_it(run, folder, task):
    written = {line["path"] for line in run("export", task, "all", "--json").lines}
    found = {str(path.relative_to(folder)) for path in (folder / "all").rglob("*") if path.is_file()}
    assert written == found
    assert {
        "all/task.json", "all/results.json", "all/events.json", "all/logs.json", "all/outputs/make/1.parquet",
        "all/artifacts/make/1/note.json", "all/artifacts/make/1/_note.json",
    } <= found  # fmt: skip
    assert len(found) == 9
    assert not (folder / "all" / "artifacts" / "make" / "out").exists()
    kept = {json.loads((folder / f"all/artifacts/make/1/{name}").read_text())[0 if name[0] == "_" else "a"]
            for name in ("note.json", "_note.json")}  # fmt: skip
    assert kept == {1, 2}
    assert len(pd.read_parquet(folder / "all/outputs/make/1.parquet")) == 100_000
    assert json.loads((folder / "all/task.json").read_text())["task_id"] == task


def test_what_is_there_is_replaced_by_force_only(run, folder, task):
    (folder / "r.csv").write_text("mine")
    refused = run("export", task, "r.csv")
    assert (refused.code, "--force" in refused.err) == (Exit.USAGE, True)
    assert (folder / "r.csv").read_text() == "mine"
    assert run("export", task, "r.csv", "--force").code == 0
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_what_cant_be_exported(run, task):
    assert run("export", task, "r.xls").code == Exit.USAGE
    assert run("export", "0000", "r.csv").code == Exit.NOT_FOUND


@pytest.mark.parametrize(
    ("path", "why"), [("/proc/none/x.json", "No such file or directory"), ("x" * 300 + ".json", "File name too long")]
)
def test_a_file_that_can_not_be_written_is_told_in_a_line(run, report, path, why):
    task = run("launch", f"{report}:flow", "week=47", "--wait", "--json").lines[-1]["task_id"]
    refused = run("export", task, path)
    assert (refused.code, refused.err.startswith("phasenb: "), refused.err.count("\n")) == (Exit.USAGE, True, 1)
    assert why in refused.err


def test_a_launchers_secret_reaches_the_phase_and_no_file_of_an_export(run, folder):
    path = folder / "asks.py"
    path.write_text(
        textwrap.dedent("""
        import os
        import phasenb as pn

        flow = pn.Workflow("asks", phases=("ask",))

        @flow.phase("ask")
        def ask():
            key = os.environ["API_KEY"]
            print("asked with", key)
            return {"told": f"with {key}", "length": len(key)}
    """)
    )
    done = run("launch", path, "--secret", "API_KEY", "--wait", "--json", API_KEY="sk-very" + "-secret")
    assert done.code == 0, done.err
    task = done.lines[-1]["task_id"]
    assert run("results", task, "--json").lines[0]["output"] == {"told": "with ***", "length": 14}
    assert run("export", task, "all").code == 0
    for what in ("results", "events", "logs"):
        assert run("export", task, f"{what}.json", "--what", what).code == 0
    files = [each for each in folder.rglob("*") if each.is_file()]
    assert len(files) > 6, files
    assert [each for each in files if b"sk-very-secret" in each.read_bytes()] == []
    assert (folder / "logs.json").read_text().count("asked with ***") == 1
