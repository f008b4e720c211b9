"""Secrets that launchers gave, in files of their user's alone."""

import asyncio
import os
import stat

import pytest

from phasenb.errors import LaunchError, SecretUnavailable
from phasenb.executors.secret_files import SecretFiles
from phasenb.executors.secrets import resolved


@pytest.fixture
def files(tmp_path):
    return SecretFiles(tmp_path / "runtime" / "phasenb-secrets" / "epoch")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_each_is_a_file_that_its_user_alone_can_read(files, tmp_path):
    before = os.umask(0)
    try:
        asyncio.run(files.keep("T1", {"KEY": "sk-very-secret\n", "OTHER": "ключ-ключ"}))
    finally:
        os.umask(before)
    folder = tmp_path / "runtime" / "phasenb-secrets"
    assert [mode(each) for each in (folder, folder / "epoch", folder / "epoch" / "T1")] == [0o700] * 3
    kept = {each.name: each for each in (folder / "epoch" / "T1").iterdir()}
    assert {name: mode(path) for name, path in kept.items()} == {"KEY": 0o600, "OTHER": 0o600}
    sources = {name: f"launcher:{files.place('T1', name)}" for name in ("KEY", "OTHER")}
    assert resolved(sources, {}) == {"KEY": "sk-very-secret\n", "OTHER": "ключ-ключ"}, "as they were given"


def test_one_that_is_given_again_takes_the_olds_place(files):
    asyncio.run(files.keep("T1", {"KEY": "sk-the-first", "OTHER": "stays-here"}))
    asyncio.run(files.keep("T1", {"KEY": "sk-the-second"}))
    sources = {name: f"launcher:{files.place('T1', name)}" for name in ("KEY", "OTHER")}
    assert resolved(sources, {}) == {"KEY": "sk-the-second", "OTHER": "stays-here"}


def test_one_that_is_gone_says_how_to_give_it_again(files):
    files.forget("T1")  # nothing was kept: nothing happens
    asyncio.run(files.keep("T1", {"KEY": "sk-very-secret"}))
    files.forget("T1")
    with pytest.raises(SecretUnavailable, match=r"os\.environ\[\"KEY\"\].*task\.resume\(\)") as refused:
        resolved({"KEY": f"launcher:{files.place('T1', 'KEY')}"}, {})
    assert refused.value.source == "launcher"


def test_a_folder_of_others_or_none_keeps_nothing(files, tmp_path):
    (tmp_path / "runtime").write_text("a file")
    with pytest.raises(LaunchError, match="can't be kept"):
        asyncio.run(files.keep("T1", {"KEY": "sk-very-secret"}))


def test_a_folder_that_others_can_read_is_closed_first(files, tmp_path):
    folder = tmp_path / "runtime" / "phasenb-secrets"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    asyncio.run(files.keep("T1", {"KEY": "sk-very-secret"}))
    assert mode(folder) == 0o700


def test_a_hosts_start_removes_what_ended_tasks_left(files, tmp_path):
    async def scenario():
        await files.sweep(None)  # there is no folder yet
        for task in ("ENDED", "LIVE", "YOUNG"):
            await files.keep(task, {"KEY": "sk-very-secret"})
        for task in ("ENDED", "LIVE"):
            os.utime(tmp_path / "runtime" / "phasenb-secrets" / "epoch" / task, (0, 0))

        async def ended(task_id):
            return task_id != "LIVE"

        await files.sweep(ended)

    asyncio.run(scenario())
    left = (tmp_path / "runtime" / "phasenb-secrets" / "epoch").iterdir()
    assert sorted(each.name for each in left) == ["LIVE", "YOUNG"]
