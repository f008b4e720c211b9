"""A worker's sys.stdout: at any moment of a write a fork may come, and the child writes what is its own."""

import array
import fcntl
import os
import signal
import termios
import threading
import time

from phasenb.executors.left_threads import LeftThreads
from phasenb.executors.owned_streams import OwnedStream

LONG = "x" * 1_000_000


def waiting(fd):
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


def read_all(fd):
    with os.fdopen(fd, "rb") as file:
        return file.read().decode()


def is_full(fd, written):
    """Wait until a writer stands in the middle of its write."""
    deadline = time.monotonic() + 20
    while waiting(fd) == written:
        assert time.monotonic() < deadline
    while (before := waiting(fd)) != (time.sleep(0.02) or waiting(fd)):
        assert time.monotonic() < deadline, before


def test_a_child_forked_in_the_middle_of_a_write_writes_its_own():
    reads, writes = os.pipe()
    child_reads, child_writes = os.pipe()
    stream = OwnedStream(writes, "stdout", LeftThreads())
    writer = threading.Thread(target=stream.write, args=(f"{LONG}\n",))
    writer.start()
    is_full(reads, 0)
    stream.write("half ")
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)  # its end where it hangs
        os.dup2(child_writes, writes)
        stream.in_child()
        print("child's", "own", file=stream)
        os._exit(0)
    os.close(child_writes)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert read_all(child_reads) == "child's own\n"
    told = []
    reader = threading.Thread(target=lambda: told.append(read_all(reads)))
    reader.start()
    writer.join()
    print("and a half", file=stream)
    os.close(writes)
    reader.join()
    assert told == [f"{LONG}\nhalf and a half\n"]


def test_all_of_a_text_is_written_where_the_descriptor_does_not_block():
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    stream = OwnedStream(writes, "stdout", LeftThreads())
    told = []
    reader = threading.Thread(target=lambda: told.append(read_all(reads)))
    reader.start()
    print(LONG, file=stream)
    stream.buffer.write(array.array("i", [0]))
    os.close(writes)
    reader.join()
    assert told == [f"{LONG}\n\0\0\0\0"]
