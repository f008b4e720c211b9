"""Backups of a store with an artifacts folder of its own choice: what is restored, over what, and what is refused."""

import asyncio
import shutil
import zipfile

import pytest

from phasenb.errors import BadMessage, StoreUnavailable
from phasenb.store.artifacts import Artifacts
from phasenb.store.backup import Copied, back_up, restore
from phasenb.store.saver import MemorySaver

DIGEST = f"sha256:{'ab' * 32}"


class Site:
    """A store with objects, its backup, and the configured places."""

    def __init__(self, tmp_path, story):
        self.store, self.folder, self.file = tmp_path / "phasenb.db", tmp_path / "objects", tmp_path / "backup.zip"
        saver = MemorySaver.open(self.store, artifacts=str(self.folder))
        name, size = saver._artifacts.folder("ada").put(b"bytes")
        kept = {"$object": name, "codec": "bytes", "type": "bytes", "bytes": size}
        self.told, self.name = story(inputs={"image": f"registry/x@{DIGEST}", "kept": kept}), name
        asyncio.run(saver.append(self.told.created()))
        saver.close_blocking()
        self.copied = back_up(str(self.store), str(self.folder), self.file)

    def restore(self, file=None, store=None, folder=None):
        return restore(file or self.file, str(store or self.store), str(folder or self.folder))

    def use(self, store=None, folder=None):
        """Open it as a host does, and read the object; its epoch."""
        saver = MemorySaver.open(store or self.store, artifacts=str(folder or self.folder))
        try:
            assert [task.task_id for task in asyncio.run(saver.tasks("ada"))] == [self.told.task_id]
            assert saver._artifacts.folder("ada").get(self.name) == b"bytes"
            return saver.epoch
        finally:
            saver.close_blocking()

    def damaged(self, tmp_path):
        """A backup with an object that is not what its name says."""
        file = tmp_path / "damaged.zip"
        shutil.copy(self.file, file)
        with zipfile.ZipFile(file, "a") as archive:
            folder = Artifacts(str(self.folder)).url_of("ada").rpartition("/")[2]
            archive.writestr(f"objects/{folder}/{'cd' * 32}", b"other")
        return file


@pytest.fixture
def site(tmp_path, story):
    return Site(tmp_path, story)


def test_a_lost_store_is_restored_into_the_places_that_are_configured(site):
    epoch = site.use()
    site.store.unlink()
    assert site.restore() == Copied(tasks=1, objects=1, paused=1)
    assert site.use() != epoch
    site.store.unlink()
    with pytest.raises(StoreUnavailable, match="belongs to another store"):
        site.restore()


def test_the_folder_of_a_store_that_is_there_stays_its_own(site, tmp_path):
    with pytest.raises(StoreUnavailable, match=f"is that of {site.store}: set store.artifacts to another folder"):
        site.restore(store=tmp_path / "second.db")
    assert not (tmp_path / "second.db").exists()
    epoch = site.use()
    moved = site.store.rename(tmp_path / "moved.db")
    assert site.use(store=moved) == epoch, "a store that was moved says where it is now"
    with pytest.raises(StoreUnavailable, match=f"is that of {moved}"):
        site.restore()


def test_a_folder_of_a_release_that_did_not_say_where_its_store_is(site):
    mark = site.folder / ".phasenb-epoch"
    mark.write_text(mark.read_text().splitlines()[0])
    epoch = site.use()
    assert mark.read_text() == f"{epoch}\n{site.store}\n"
    mark.write_text(epoch)
    site.store.unlink()
    with pytest.raises(StoreUnavailable, match=f"open that store once with .*, or, if it is gone, remove {mark}$"):
        site.restore()
    assert not site.store.exists()
    mark.unlink()
    site.restore()
    site.use()


def test_the_folder_of_a_release_that_did_not_say_stays_that_of_its_store_elsewhere(site, tmp_path):
    mark = site.folder / ".phasenb-epoch"
    epoch = mark.read_text().splitlines()[0]
    mark.write_text(epoch)
    with pytest.raises(StoreUnavailable, match="does not say where its store is"):
        site.restore(store=tmp_path / "second.db")
    assert site.use() == epoch, "the store that is alive starts again"


def test_a_store_whose_disk_is_not_mounted_is_not_gone(site, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    moved = site.store.rename(disk / "phasenb.db")
    epoch = site.use(store=moved)
    away = disk.rename(tmp_path / "away")
    mark = site.folder / ".phasenb-epoch"
    with pytest.raises(StoreUnavailable, match=f"of {moved}, whose folder is not there: mount .* remove {mark}$"):
        site.restore()
    away.rename(disk)
    assert site.use(store=moved) == epoch


@pytest.mark.parametrize("there", [True, False])
def test_a_restore_that_fails_half_way_is_tried_again_with_a_good_file(site, tmp_path, there):
    folder = site.folder if there else tmp_path / "new"
    site.store.unlink()
    with pytest.raises(BadMessage):
        site.restore(site.damaged(tmp_path), folder=folder)
    assert folder.exists() is there
    assert not site.store.exists()
    site.restore(folder=folder)
    site.use(folder=folder)


def test_a_restore_that_can_not_have_the_folder_at_its_end_makes_no_store(site, monkeypatch):
    def taken(self, epoch, store, **after):
        raise StoreUnavailable(store, "another store was quicker")

    site.store.unlink()
    with monkeypatch.context() as patched:
        patched.setattr(Artifacts, "claim", taken)
        with pytest.raises(StoreUnavailable, match="was quicker"):
            site.restore()
    assert not site.store.exists()
    site.restore()
    site.use()


def test_one_that_was_killed_before_its_end_is_begun_anew(site, monkeypatch):
    """The store had its name, and the folder was not its own yet."""
    site.store.unlink()
    with monkeypatch.context() as patched:
        patched.setattr(Artifacts, "claim", lambda *_, **__: None)
        site.restore()
    with pytest.raises(StoreUnavailable, match="belongs to another store"):
        site.use()
    site.store.unlink()
    site.restore()
    site.use()


def test_only_a_reference_counts_as_missing(site, tmp_path):
    assert site.copied == Copied(tasks=1, objects=1, missing=0), "the digest of an image is no object of ours"
    Artifacts(str(site.folder)).folder("ada").local_path(site.name).unlink()
    assert back_up(str(site.store), str(site.folder), tmp_path / "again.zip") == Copied(1, 0, missing=1)


def test_variables_that_are_gone_count_as_missing(tmp_path, story):
    runtime = {"python": "3.11.7", "executable": "python", "cwd": "/", "host": "here", "variables": DIGEST}
    saver = MemorySaver.open(tmp_path / "phasenb.db")
    asyncio.run(saver.append(story(runtime=runtime).created()))
    saver.close_blocking()
    assert back_up(str(tmp_path / "phasenb.db"), None, tmp_path / "backup.zip") == Copied(1, 0, missing=1)
