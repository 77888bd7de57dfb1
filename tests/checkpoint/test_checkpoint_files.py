"""Checkpoint files are replaced as a whole or not at all."""

import errno
import os
import resource
import signal
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
from checkpoints import TREE, alone, same
from helpers import exactly

from fastopt._checkpoint import read, write

# --- a file is replaced as a whole -----------------------------------------------------------------------


def fail(error):
    def failing(*args, **kwargs):
        raise error

    return failing


FAILURES = {
    "no space when synced": (os, "fsync", OSError(errno.ENOSPC, "No space left on device")),
    "no right to replace": (os, "replace", PermissionError(errno.EACCES, "Permission denied")),
    "interrupted when synced": (os, "fsync", KeyboardInterrupt()),
    "interrupted when renamed": (os, "replace", KeyboardInterrupt()),
    "no memory half-way": (np.lib.format, "write_array", MemoryError()),
    "no right to set the mode": (os, "chmod", PermissionError(errno.EPERM, "Operation not permitted")),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_old_file_survives(failure, small, monkeypatch):
    module, name, error = FAILURES[failure]
    before = Path(small).read_bytes()
    with monkeypatch.context() as patch, pytest.raises(type(error)) as caught:
        patch.setattr(module, name, fail(error))
        write(small, "test", {"new": np.zeros(1000)})
    assert caught.value is error
    assert Path(small).read_bytes() == before and alone(small)


def test_no_trace_of_a_first_file_that_fails(path, monkeypatch):
    monkeypatch.setattr(os, "replace", fail(OSError("no")))
    with pytest.raises(OSError, match=exactly("no")):
        write(path, "test", TREE)
    assert os.listdir(os.path.dirname(path)) == []


def test_no_space_while_writing(small):
    """The limit of the file size stands for a full disk."""
    before, limits = Path(small).read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
        with pytest.raises(OSError, match="File too large"):
            write(small, "test", np.zeros(10**6))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert Path(small).read_bytes() == before and alone(small)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EIO])
def test_sync_of_the_folder(number, path, monkeypatch):
    """File systems that cannot are excused, disks that fail are not; the file is there in any case."""
    real, synced = os.fsync, []

    def fsync(handle):
        synced.append(stat.S_ISDIR(os.fstat(handle).st_mode))
        if synced[-1]:
            raise OSError(number, "no")
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    if number == errno.EIO:
        with pytest.raises(OSError, match="no"):
            write(path, "test", TREE)
    else:
        write(path, "test", TREE)
    assert synced == [False, True]
    assert same(TREE, read(path, "test")) and alone(path)


def test_folder_that_cannot_be_opened(path, monkeypatch):
    monkeypatch.setattr(os, "open", fail(PermissionError()))
    write(path, "test", TREE)
    assert alone(path)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_of_a_new_file(umask, path):
    before = os.umask(umask)
    try:
        write(path, "test", TREE)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o666 & ~umask


def test_permissions_of_a_replaced_file_stay(small):
    os.chmod(small, 0o640)
    write(small, "test", 1)
    assert stat.S_IMODE(os.stat(small).st_mode) == 0o640 and read(small, "test") == 1


def test_link_is_followed(small, tmp_path):
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "latest"
    link.symlink_to(small)
    write(link, "test", 1)
    assert link.is_symlink() and read(small, "test") == read(link, "test") == 1
    assert os.listdir(link.parent) == ["latest"] and sorted(os.listdir(tmp_path)) == ["links", "run.npz"]


def test_what_is_no_file_is_not_replaced(tmp_path):
    folder, pipe = tmp_path / "folder", tmp_path / "pipe"
    folder.mkdir()
    os.mkfifo(pipe)
    with pytest.raises(IsADirectoryError):
        write(folder, "test", TREE)
    with pytest.raises(IsADirectoryError):
        read(folder, "test")
    with pytest.raises(OSError, match="Not a regular file"):
        write(pipe, "test", TREE)
    assert stat.S_ISFIFO(os.stat(pipe).st_mode) and sorted(os.listdir(tmp_path)) == ["folder", "pipe"]


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.npz", "test")
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "none" / "run.npz", "test", TREE)
    assert os.listdir(tmp_path) == []


def test_concurrent_writers_and_readers(path, no_sync):
    """Whoever reads meets one writer's whole tree."""
    trees = [{"who": k, "x": np.full(50_000 + k, k)} for k in range(6)]
    write(path, "test", trees[0])
    failed, done = [], threading.Event()

    def work(act):
        try:
            act()
        except BaseException as error:
            failed.append(error)

    def write_some(tree):
        for _ in range(10):
            write(path, "test", tree)

    def read_some():
        while True:
            tree = read(path, "test")
            assert same(trees[tree["who"]], tree)
            if done.is_set():
                break

    reader = threading.Thread(target=work, args=(read_some,))
    writers = [threading.Thread(target=work, args=(lambda tree=tree: write_some(tree),)) for tree in trees]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert failed == [] and alone(path)
