"""`phasenb backup` and `restore`: one file while a host runs, and another store from it."""

import json
import sqlite3
import stat
import zipfile

from phasenb.cli.exits import Exit
from tests.waiting import until


def test_a_backup_made_while_a_host_runs_is_a_store_of_its_own(
    run, serve, report, held, environ, folder, tmp_path, monkeypatch
):
    serve()
    done = run("launch", report, "week=47", "--wait", "--json").lines[0]["task_id"]
    flow, gate = held
    live = run("launch", flow, f"gate={gate}").out.strip()
    until(lambda: run("show", live, "--json").lines[0]["phase"] == "two")
    file = folder / "nightly.zip"
    told = run("backup", file, "--json").lines[0]
    assert (told["tasks"], told["missing"]) == (2, 0)
    assert told["objects"] >= 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    again = run("backup", file)
    assert (again.code, file.read_bytes()) == (Exit.USAGE, before)
    assert "nothing is written over it" in again.err
    assert run("restore", file).code == Exit.NO_SERVER, "never over a store"
    run("serve", "--stop")

    epoch = _epoch(environ["PHASENB_STORE_URL"])
    environ["PHASENB_STORE_URL"] = str(tmp_path / "elsewhere" / "second.db")
    monkeypatch.setenv("PHASENB_STORE_URL", environ["PHASENB_STORE_URL"])
    (tmp_path / "elsewhere").mkdir()
    made = run("restore", file, "--json").lines[0]
    assert (made["tasks"], made["objects"], made["paused"]) == (2, told["objects"], 1)
    assert sorted(each.name for each in (tmp_path / "elsewhere").iterdir()) == ["artifacts", "second.db"]
    assert _epoch(environ["PHASENB_STORE_URL"]) != epoch
    shown = run("show", live, "--json").lines[0]
    assert (shown["state"], shown["stopped"]["by"]) == ("paused", "the restore of a backup")
    out = folder / "kept"
    assert run("export", done, out).code == 0
    assert any(json.loads(each.read_text()) == {"kept": 94} for each in out.rglob("note*"))
    serve()
    gate.touch()
    assert run("resume", live).code == 0
    assert run("watch", live).code == 0
    assert run("serve", "--stop").code == 0


def test_a_backup_of_a_store_that_has_lost_an_object_is_made_and_ends_with_1(run, report, environ, folder, tmp_path):
    assert run("launch", report, "week=47", "--wait").code == 0
    objects = [each for each in (tmp_path / "artifacts").rglob("*") if len(each.name) == 64]
    assert objects
    for each in objects:
        each.unlink()
    done = run("backup", folder / "nightly.zip", "--json")
    told = done.lines[0]
    assert (done.code, told["tasks"], told["objects"]) == (Exit.FAILED, 1, 0)
    assert 1 <= told["missing"] <= len(objects)
    again = run("backup", folder / "again.zip")
    assert "objects that the store names can't be found any more" in again.err
    assert (folder / "again.zip").exists()


def test_what_is_no_backup_or_damaged_makes_no_store(run, folder, tmp_path, monkeypatch):
    store = tmp_path / "elsewhere" / "second.db"
    store.parent.mkdir()
    monkeypatch.setenv("PHASENB_STORE_URL", str(store))
    assert "there is none to back up" in run("backup", folder / "a.zip").err
    other = folder / "other.zip"
    other.write_text("no zip")
    assert "is not a whole file that `phasenb backup` made" in run("restore", other).err
    with zipfile.ZipFile(folder / "empty.zip", "w"):
        pass
    assert "holds no phasenb.db" in run("restore", folder / "empty.zip").err
    assert run("restore", folder / "none.zip").code == Exit.USAGE
    assert list(store.parent.iterdir()) == []


def _epoch(path):
    with sqlite3.connect(path) as connection:
        return connection.execute("SELECT value FROM phasenb_meta WHERE name = 'epoch'").fetchone()
