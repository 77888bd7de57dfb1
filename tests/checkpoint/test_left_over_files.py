"""Temporary files of killed saves are removed by the next save of the same file; those in use stay."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from checkpoints import TREE, alone, same

from fastopt._checkpoint import read, replacement, write

fcntl = pytest.importorskip("fcntl")

SAVE_AND_HANG = """
import os, sys, time
from fastopt._checkpoint import write
def fsync(handle):
    print("written", flush=True)
    time.sleep(600)
os.fsync = fsync
write(sys.argv[1], "test", list(range(1000)))
"""


@contextlib.contextmanager
def save_under_way(path):
    """A process that is in the middle of writing a checkpoint."""
    with subprocess.Popen([sys.executable, "-c", SAVE_AND_HANG, path], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"written\n"
            yield process
        finally:
            process.kill()


def temporary_files(path):
    return sorted(name for name in os.listdir(os.path.dirname(path)) if name.endswith(".tmp"))


def test_next_save_removes_what_a_killed_one_left(path):
    for _ in range(2):
        with save_under_way(path) as process:
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert len(temporary_files(path)) == 1  # the second one removed that of the first
    write(path, "test", TREE)
    assert alone(path) and same(TREE, read(path, "test"))


def test_save_under_way_in_another_process_stays(path):
    with save_under_way(path):
        (theirs,) = temporary_files(path)
        write(path, "test", TREE)
        assert temporary_files(path) == [theirs]
    write(path, "test", TREE)
    assert alone(path)


def test_saves_under_way_in_other_threads_stay(path, no_sync):
    """Each writes its file and waits until all have."""
    all_written, failed = threading.Barrier(5), []

    def save(k):
        try:
            for _ in range(20):
                with replacement.replacement(path) as file:
                    file.write(bytes([k]) * 1000)
                    all_written.wait(30)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=save, args=(k,)) for k in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == [] and alone(path)


def left_over(path, machine=None, age=0.0):
    """A file as a killed save to `path` would leave it, on this machine or on another, so many seconds ago."""
    name = f".fastopt-{replacement._digest(os.path.basename(path))}-{machine or replacement._machine()}-{'0' * 32}.tmp"
    name = os.path.join(os.path.dirname(path), name)
    with open(name, "wb") as file:
        file.write(b"PK")
    os.utime(name, (time.time() - age,) * 2)
    return name


def test_files_of_other_saves_and_of_others_stay(path, tmp_path):
    names = [".fastopt-backup.tmp", "run.npz.tmp", f".fastopt-{'0' * 32}.tmp"]
    for name in names:
        (tmp_path / name).write_bytes(b"mine")
    another = left_over(str(tmp_path / "another.npz"))
    write(path, "test", TREE)
    assert temporary_files(path) == sorted([*names, os.path.basename(another)])


def test_files_of_other_machines_stay_for_an_hour(path):
    """Their locks may not be seen here."""
    recent, old = left_over(path, "0" * 16, 3000.0), left_over(path, "1" * 16, 4000.0)
    write(path, "test", TREE)
    assert os.path.exists(recent) and not os.path.exists(old)


@pytest.mark.parametrize("locks", ["none", "refused"])
def test_without_locks_files_stay_for_an_hour(locks, path, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError("no locks here")

    if locks == "none":
        monkeypatch.setattr(replacement, "fcntl", None)
    else:
        monkeypatch.setattr(fcntl, "flock", refuse)
    recent = left_over(path, age=3000.0)
    write(path, "test", TREE)
    assert os.path.exists(recent)
    os.utime(recent, (time.time() - 4000.0,) * 2)
    write(path, "test", TREE)
    assert alone(path)


def test_file_that_another_save_took_for_left_over_is_made_anew(path, monkeypatch):
    """Between its making and its lock it looks like one."""
    lock, taken = replacement._lock, []

    def remove_first(descriptor):
        if not taken:
            taken.extend(temporary_files(path))
            os.remove(os.path.join(os.path.dirname(path), *taken))
        return lock(descriptor)

    monkeypatch.setattr(replacement, "_lock", remove_first)
    write(path, "test", TREE)
    assert len(taken) == 1 and alone(path) and same(TREE, read(path, "test"))


def test_what_cannot_be_looked_at_does_not_fail_the_save(path, tmp_path, monkeypatch):
    """A folder or a link of such a name, and a folder that may be written to but not listed."""
    folder = left_over(path)
    os.remove(folder)
    os.mkdir(folder)
    target = tmp_path / "precious"
    target.write_bytes(b"mine")
    link = left_over(path, "2" * 16, 4000.0)
    os.remove(link)
    os.symlink(target, link)
    write(path, "test", TREE)
    assert os.path.isdir(folder) and os.path.islink(link) and target.read_bytes() == b"mine"

    def refuse(folder):
        raise PermissionError("no")

    monkeypatch.setattr(os, "scandir", refuse)
    write(path, "test", np.zeros(3))
    assert same(np.zeros(3), read(path, "test"))
