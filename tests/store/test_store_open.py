"""Opening a store: what can be wrong with its file is said plainly, and the file is left as it is."""

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from phasenb.config.places import make_private_folder
from phasenb.errors import StoreUnavailable
from phasenb.store import database, location
from phasenb.store.location import locate, network_file_system, of_another, same_place
from phasenb.store.migrations import MIGRATIONS
from phasenb.store.saver import MemorySaver

from .refusals import VERSION_1, refused


def test_a_store_keeps_its_epoch_and_what_was_committed(tmp_path, story):
    async def tell():
        saver = MemorySaver.open(tmp_path / "phasenb.db")
        await story().tell(saver)
        await saver.close()
        return saver.epoch

    epoch = asyncio.run(tell())
    again = MemorySaver.open(f"sqlite:///{tmp_path}/phasenb.db")
    assert again.epoch == epoch
    assert again.view("ada", "nb:penguins").tasks()["state"].tolist() == ["completed"]
    asyncio.run(again.close())
    other = MemorySaver.open(tmp_path / "other.db", artifacts=str(tmp_path / "others"))
    assert other.epoch != epoch
    asyncio.run(other.close())


def test_the_constructor_touches_nothing_and_the_first_use_opens(tmp_path):
    saver = MemorySaver(tmp_path / "phasenb.db")
    assert list(tmp_path.iterdir()) == []
    assert saver.epoch
    assert (tmp_path / "phasenb.db").exists()
    asyncio.run(saver.close())


def mode(path) -> int:
    return path.stat().st_mode & 0o777


def test_what_is_made_is_its_users_alone_and_what_was_there_keeps_its_mode(tmp_path, story):
    async def modes(path):
        saver = MemorySaver.open(path)
        await story().tell(saver)
        found = {each.name.removeprefix(path.stem): mode(each) for each in tmp_path.glob(f"{path.stem}*")}
        await saver.close()
        return found

    umask = os.umask(0o022)
    try:
        assert asyncio.run(modes(tmp_path / "own.db")) == {".db": 0o600, ".db-wal": 0o600, ".db-shm": 0o600}
        shared = tmp_path / "shared.db"
        shared.touch(0o640)
        assert set(asyncio.run(modes(shared)).values()) == {0o640}
    finally:
        os.umask(umask)


def test_folders_and_objects_are_their_users_alone_all_the_way(tmp_path, story):
    umask = os.umask(0o022)
    try:
        data = tmp_path / "share" / "phasenb"
        make_private_folder(data)
        saver = MemorySaver.open(data / "phasenb.db", artifacts=str(tmp_path / "objects" / "of mine"))
        saver._artifacts.folder("ada").put(b"bytes")
        beside = MemorySaver.open(data / "other.db")
        beside._artifacts.folder("ada").put(b"bytes")
    finally:
        os.umask(umask)
    for each in (saver, beside):
        asyncio.run(each.close())
    found = {str(each.relative_to(tmp_path)): mode(each) for each in tmp_path.rglob("*")}
    assert {name for name, own in found.items() if own != (0o700 if (tmp_path / name).is_dir() else 0o600)} == set()
    assert len(found) > 12


@pytest.mark.parametrize("planted", ["store.db", "artifacts"])
@pytest.mark.parametrize("there", [True, False])
def test_no_link_is_followed_in_a_folder_that_everybody_may_write_to(tmp_path, planted, there):
    victim, folder = tmp_path / "victim", tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o1777)
    if there:
        victim.touch() if planted == "store.db" else victim.mkdir()
    (folder / planted).symlink_to(victim)
    told = refused(folder / "store.db")
    assert f"{folder / planted} is a symbolic link in a folder that everybody may write to, and was not" in told
    assert victim.exists() is there
    assert not there or not (victim.stat().st_size if victim.is_file() else list(victim.iterdir()))


def test_a_link_in_a_folder_of_ones_own_is_followed(tmp_path):
    (tmp_path / "store.db").symlink_to(tmp_path / "elsewhere.db")
    asyncio.run(MemorySaver.open(tmp_path / "store.db").close())
    assert (tmp_path / "elsewhere.db").stat().st_size


def test_the_file_that_sqlite_opened_is_told_with_links_in_its_folders_resolved_and_not(tmp_path):
    """SQLite resolves them since 3.39, and names the folders as they were given before."""
    (tmp_path / "disk" / "ada").mkdir(parents=True)
    (tmp_path / "home").symlink_to(tmp_path / "disk")
    path = tmp_path / "home" / "ada" / "store.db"
    path.touch()
    assert same_place(str(tmp_path / "disk" / "ada" / "store.db"), path)
    assert same_place(str(path), path)
    assert same_place(str(tmp_path / "home" / "ada" / ".." / "ada" / "store.db"), path)
    assert not same_place(str(tmp_path / "disk" / "victim.db"), path)
    asyncio.run(MemorySaver.open(path).close())


def test_a_link_that_came_and_went_while_it_was_opened_is_noticed(tmp_path, monkeypatch):
    victim, store = tmp_path / "victim.db", tmp_path / "open" / "store.db"
    asyncio.run(MemorySaver.open(victim).close())
    store.parent.mkdir()
    store.parent.chmod(0o1777)
    real = sqlite3.connect

    def connect(*args, **options):
        store.unlink()
        store.symlink_to(victim)
        try:
            opened = real(*args, **options)
            opened.execute("PRAGMA database_list")
            return opened
        finally:
            store.unlink()
            store.touch()

    monkeypatch.setattr(sqlite3, "connect", connect)
    assert refused(store) == "a link was put in its place while it was opened"


@pytest.mark.parametrize(
    ("owner", "user", "another"),
    [(1000, 1000, False), (1001, 1000, True), (1001, None, False), (0, 1000, False), (1000, 0, False)],
)
def test_whose_a_file_is(owner, user, another):
    assert of_another(owner, user) is another


def test_a_file_of_another_user_is_refused_where_everybody_may_write(tmp_path, monkeypatch):
    path = tmp_path / "open" / "store.db"
    path.parent.mkdir()
    asyncio.run(MemorySaver.open(path).close())
    path.parent.chmod(0o1777)
    root = os.geteuid() == 0
    if root:
        with monkeypatch.context() as patched:
            patched.setattr(os, "geteuid", lambda: 1000)
            asyncio.run(MemorySaver.open(path).close())  # root made it, as a container's first step does
        os.chown(path, 1000, -1)
        asyncio.run(MemorySaver.open(path).close())  # root looks
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    content = path.read_bytes()
    problem = refused(path)
    assert problem.startswith("it belongs to another user, in a folder that everybody may write to, and was not")
    assert "(chown)" in problem
    assert path.read_bytes() == content
    path.parent.chmod(0o755)  # what the sentence says
    asyncio.run(MemorySaver.open(path).close())


@pytest.mark.parametrize("closed", [True, False])
def test_a_reader_finds_what_was_committed_and_can_change_nothing(tmp_path, story, closed):
    path = tmp_path / "phasenb.db"

    async def main():
        saver = MemorySaver.open(path)
        await story().tell(saver)
        if closed:
            await saver.close()
        content = path.read_bytes()
        reader = MemorySaver.open(path, reading=True)
        assert reader.view("ada", "nb:penguins").tasks()["state"].tolist() == ["completed"]
        assert len(await reader.changes(None, 1)) == 1
        with pytest.raises(StoreUnavailable, match="can't be written"):
            await reader.append(story().created())
        await reader.close()
        assert path.read_bytes() == content
        await saver.close()

    asyncio.run(main())


def test_a_reader_migrates_nothing_and_makes_nothing(tmp_path):
    path = tmp_path / "phasenb.db"
    with sqlite3.connect(path) as made:
        made.executescript(VERSION_1.read_text())
    made.close()
    content = path.read_bytes()
    known = MIGRATIONS[-1].number
    with pytest.raises(StoreUnavailable, match=f"it has version 1, this release of phasenb reads version {known}, and"):
        MemorySaver.open(path, reading=True)
    with pytest.raises(StoreUnavailable, match="can't be opened"):
        MemorySaver.open(tmp_path / "none.db", reading=True)
    assert path.read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_closed_store_says_so(tmp_path, story):
    async def main():
        saver = MemorySaver(tmp_path / "phasenb.db")
        await saver.close()
        with pytest.raises(StoreUnavailable, match="it is closed"):
            await saver.append(story().created())
        opened = MemorySaver.open(tmp_path / "phasenb.db")
        await opened.close()
        await opened.close()
        for use in (opened.append(story().created()), opened.tasks("ada")):
            with pytest.raises(StoreUnavailable, match="it is closed"):
                await use

    asyncio.run(main())


def test_the_file_is_in_wal_mode_with_full_synchronisation(file_saver):
    def pragmas(cursor):
        return [cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]

    assert file_saver._database.read(pragmas)[0] == "wal"
    assert file_saver._database.writer._connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_readers_can_not_write(file_saver):
    with pytest.raises(StoreUnavailable, match="can't be written"):
        file_saver._database.read(lambda cursor: cursor.execute("DELETE FROM tasks"))


# --- files that can't be used ----------------------------------------------------------------------------------------


def test_a_missing_folder(tmp_path):
    assert refused(tmp_path / "no" / "phasenb.db") == "its folder does not exist"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_place_of_the_file(tmp_path):
    assert refused(tmp_path) == "it is not a file"


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "file").write_text("")
    assert "does not exist" in refused(tmp_path / "file" / "phasenb.db")


def test_a_name_that_is_too_long(tmp_path):
    assert "too long" in refused(tmp_path / ("x" * 300)).lower()


@pytest.mark.parametrize(
    "content", [b"not a database at all\n" * 100, b"\x00" * 5000, b"SQLite format 3\x00" + b"z" * 5000]
)
def test_a_file_of_garbage_is_left_as_it_is(tmp_path, content):
    path = tmp_path / "phasenb.db"
    path.write_bytes(content)
    assert "left as it is" in refused(path)
    assert path.read_bytes() == content


def test_a_file_that_was_cut_off_is_left_as_it_is(tmp_path, story):
    path = tmp_path / "phasenb.db"

    async def fill():
        saver = MemorySaver.open(path)
        for _ in range(50):
            await story().tell(saver)
        await saver.close()

    asyncio.run(fill())
    cut = path.read_bytes()[:9000]
    path.write_bytes(cut)
    assert "damaged" in refused(path)
    assert path.read_bytes() == cut


def test_damage_in_the_middle_is_told_by_the_read_that_meets_it(tmp_path, story):
    path = tmp_path / "phasenb.db"

    async def fill():
        saver = MemorySaver.open(path)
        for _ in range(50):
            await story().tell(saver)
        await saver.close()

    asyncio.run(fill())
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))

    async def read():
        with pytest.raises(StoreUnavailable, match="damaged"):
            await MemorySaver.open(path).tasks("ada")

    asyncio.run(read())


def test_a_database_of_another_program_is_left_as_it_is(tmp_path):
    path = tmp_path / "history.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE sessions (n)")
    other.close()
    content = path.read_bytes()
    assert refused(path) == "it is an SQLite file of another program; it was left as it is"
    assert path.read_bytes() == content


def test_a_folder_where_nothing_can_be_written(tmp_path):
    # Even root can't make files in /proc, nor a WAL where a folder has its name.
    assert "can't be opened" in refused("/proc/phasenb.db")
    (tmp_path / "phasenb.db-wal").mkdir()
    assert "the disk reports an error" in refused(tmp_path / "phasenb.db")


def test_a_store_that_is_read_only_is_found_out_at_once(tmp_path, monkeypatch):
    path = tmp_path / "phasenb.db"
    asyncio.run(MemorySaver.open(path).close())

    def read_only(location, mode):
        return sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)

    # As root every file is writable, so SQLite is told to open it as a plain user would find it.
    monkeypatch.setattr(database, "_connection", read_only)
    assert "can't be written" in refused(path)


def test_a_lock_held_too_long_by_another_process(tmp_path, monkeypatch):
    path = tmp_path / "phasenb.db"
    asyncio.run(MemorySaver.open(path).close())
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert "another process has been writing" in refused(path)
    other.execute("ROLLBACK")
    other.close()
    asyncio.run(MemorySaver.open(path).close())


@pytest.mark.parametrize("url", ["postgresql://localhost/phasenb", "http://here/store.db"])
def test_other_databases_are_refused_by_name(url):
    assert "only SQLite is supported" in refused(url)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (":memory:", None),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("sqlite:////var/x.db", "/var/x.db"),
        ("/var/x.db", "/var/x.db"),
        ("~/x.db", str(Path("~/x.db").expanduser())),
        ("x.db", str(Path("x.db").absolute())),
        ("sqlite:///x.db", str(Path("x.db").absolute())),
    ],
)
def test_urls_and_paths(url, path):
    found = locate(url).path
    assert (None if found is None else str(found)) == path


MOUNTS = """\
/dev/vda / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/vdb /home/ada/my\\040disk ext4 rw 0 0
//nas/share /mnt/nas cifs rw 0 0
tmpfs /tmp tmpfs rw 0 0
me@host:/ /ssh fuse.sshfs rw 0 0
bucket /s3 fuse.JuiceFS rw 0 0
fs0 /scratch gpfs rw 0 0
/dev/sdb /tab\\011bed lustre rw 0 0
drvfs /mnt/c 9p rw 0 0
share /host virtiofs rw 0 0
a:b /merged fuse.mergerfs rw 0 0
bad line
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/ada", "nfs4"),
        ("/home/ada/my disk/x", None),
        ("/homes", None),
        ("/mnt/nas/a/b", "cifs"),
        ("/tmp", None),
        ("/ssh/x", "fuse.sshfs"),
        ("/s3", "fuse.JuiceFS"),
        ("/scratch/me", "gpfs"),
        ("/tab\tbed", "lustre"),
        ("/mnt/c/Users", None),
        ("/host", None),
        ("/merged", None),
        ("/", None),
    ],
)
def test_network_file_systems_are_told_apart(folder, kind):
    assert network_file_system(Path(folder), MOUNTS) == kind


def test_a_network_file_system_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(location, "mounts", lambda: f"server:/x {tmp_path.resolve()} nfs4 rw 0 0")
    problem = refused(tmp_path / "phasenb.db")
    assert "network file system (nfs4)" in problem
    assert "store.url" in problem


def test_a_file_system_without_shared_memory_is_refused(tmp_path, monkeypatch):
    def connect(location, mode):
        uri = f"file:{location.path}?vfs=unix-dotfile"  # SQLite's own way to do without: no WAL there
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)

    monkeypatch.setattr(database, "_connection", connect)
    assert "no shared memory: set store.url" in refused(tmp_path / "phasenb.db")


def test_a_look_for_changes_says_what_is_wrong(file_saver):
    async def scenario():
        await file_saver.quiet_until()
        await file_saver.close()
        with pytest.raises(StoreUnavailable, match="closed"):
            await file_saver.quiet_until()

    asyncio.run(scenario())


def test_stores_of_one_folder_share_no_artifacts(tmp_path):
    first, second = (MemorySaver.open(tmp_path / name) for name in ("a.db", "b.db"))
    (tmp_path / "a.db").unlink()
    anew = MemorySaver.open(tmp_path / "a.db")
    assert len({saver.artifacts_url for saver in (first, second, anew)}) == 3
    assert MemorySaver.open(tmp_path / "b.db").artifacts_url == second.artifacts_url
    for saver in (first, second, anew):
        asyncio.run(saver.close())
