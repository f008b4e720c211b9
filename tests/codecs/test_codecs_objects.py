"""Objects are whole or absent, named by content, and never outside their folder."""

import hashlib
import io
import os
import uuid
from pathlib import Path

import pytest

from phasenb.codecs.objects import ObjectFolder
from phasenb.errors import BadMessage, UnknownObject

DATA = b"penguins" * 1000
HASH = "sha256:" + hashlib.sha256(DATA).hexdigest()


@pytest.fixture(params=["path", "file", "memory"])
def folder(request, tmp_path):
    urls = {
        "path": str(tmp_path / "my objects"),
        "file": (tmp_path / "my objects").as_uri(),
        "memory": f"memory://phasenb-{uuid.uuid4().hex}",
    }
    return ObjectFolder(urls[request.param])


def test_bytes_come_back_by_their_hash(folder):
    assert not folder.has(HASH)
    assert folder.put(DATA) == (HASH, len(DATA))
    assert folder.has(HASH)
    assert folder.get(HASH) == DATA
    with folder.open(HASH) as file:
        assert file.read(8) == b"penguins"


def test_all_ways_in_make_the_same_object(folder):
    assert folder.put_chunks(DATA[start : start + 999] for start in range(0, len(DATA), 999)) == (HASH, len(DATA))
    assert folder.write(lambda file: file.write(memoryview(DATA)) and None) == (HASH, len(DATA))
    assert folder.put(DATA) == (HASH, len(DATA))
    assert folder.get(HASH) == DATA


def test_the_empty_object_exists_once_it_is_put(folder):
    name, size = folder.put(b"")
    assert size == 0
    assert folder.get(name) == b""


def test_an_upload_that_is_not_what_its_hash_says_is_dropped(folder):
    with folder.upload() as upload:
        upload.write(b"something else")
        with pytest.raises(BadMessage, match="not what their hash says"):
            upload.commit(expected=HASH)
    assert not folder.has(HASH)


@pytest.mark.parametrize(
    "name", ["", "sha256:", "sha256:../../etc/passwd", HASH.upper(), HASH + "\n", HASH[7:], "md5:" + HASH[7:]]
)
def test_a_name_that_is_no_hash_is_unknown(folder, name):
    folder.put(DATA)
    assert not folder.has(name)
    for use in (folder.get, folder.open, folder.local_path):
        with pytest.raises(UnknownObject):
            use(name)


def test_a_failed_write_leaves_nothing(tmp_path):
    folder = ObjectFolder(str(tmp_path / "objects"))

    def half(file):
        file.write(b"half")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        folder.write(half)
    assert [path for path in Path(tmp_path).rglob("*") if path.is_file()] == []


def test_putting_again_renews_the_time(tmp_path):
    folder = ObjectFolder(str(tmp_path / "objects"))
    folder.put(DATA)
    path = folder.local_path(HASH)
    os.utime(path, (1, 1))
    folder.put_chunks([DATA])
    assert path.stat().st_mtime > 1
    assert [found.name for found in Path(folder.url).rglob("*") if found.is_file()] == [path.name]


def test_only_local_folders_have_paths(tmp_path):
    local, remote = ObjectFolder(str(tmp_path)), ObjectFolder(f"memory://phasenb-{uuid.uuid4().hex}")
    for folder in (local, remote):
        folder.put(DATA)
    assert local.local_path(HASH).read_bytes() == DATA
    assert remote.local_path(HASH) is None


def test_a_big_write_is_streamed(tmp_path):
    """What is written has reached the file before the writer is done: nothing is collected in memory."""
    folder = ObjectFolder(str(tmp_path / "objects"))

    def fill(file):
        for _ in range(8):
            file.write(bytes(1024 * 1024))
        (incoming,) = (tmp_path / "objects" / "incoming").iterdir()
        assert incoming.stat().st_size >= 7 * 1024 * 1024
        assert isinstance(file, io.BufferedIOBase)

    folder.write(fill)
