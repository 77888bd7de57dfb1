"""save() and load() with open files in place of paths."""

import gzip
import io
import os
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from helpers import bits, exactly, refused

import fastopt
from fastopt import CheckpointError, load, save


def trained():
    opt = fastopt.NAdam(np.arange(6.0).reshape(2, 3))
    opt.step(np.ones((2, 3)))
    return opt


def blank():
    return fastopt.NAdam(np.zeros((2, 3)))


OPENED = {
    "buffered": lambda path, mode: open(path, mode),
    "unbuffered": lambda path, mode: open(path, mode, buffering=0),
    "gzip": lambda path, mode: gzip.open(path, mode),
}


@pytest.mark.parametrize("how", OPENED)
def test_file_is_used_from_its_position_on(how, path):
    opt, other = trained(), blank()
    with OPENED[how](path, "wb") as file:
        file.write(b"before")
        save(file, opt)
        assert not file.closed
    with OPENED[how](path, "rb") as file:
        assert file.read(6) == b"before"
        load(file, other)
    assert bits(other) == bits(opt)


def test_memory_and_file_have_the_same_contents(path):
    opt, memory = trained(), io.BytesIO()
    save(memory, opt)
    save(path, opt)
    assert memory.getvalue() == Path(path).read_bytes()
    other = blank()
    load(io.BytesIO(memory.getvalue()), other)
    assert bits(other) == bits(opt)


def test_pipe_which_has_no_way_back():
    opt, other = trained(), blank()
    out, into = (os.fdopen(handle, mode) for handle, mode in zip(os.pipe(), ("rb", "wb"), strict=True))
    with out:
        reader = threading.Thread(target=load, args=(out, other))
        reader.start()
        with into:
            save(into, opt)
        reader.join()
    assert bits(other) == bits(opt)


class TakesAPart(io.RawIOBase):
    """Writes at most a hundred bytes at a time."""

    def __init__(self):
        self.contents = bytearray()

    def write(self, contents):
        self.contents += contents[:100]
        return min(len(contents), 100)


def test_file_that_takes_a_part_at_a_time():
    opt, other, file = trained(), blank(), TakesAPart()
    save(file, opt)
    load(io.BytesIO(file.contents), other)
    assert bits(other) == bits(opt)


def test_nothing_is_written_of_what_cannot_be_saved():
    class Odd:
        def __call__(self, t):
            return 0.1

        def state_dict(self):
            return {"seen": {1}}

    file = io.BytesIO()
    with pytest.raises(TypeError, match="must be a dict"):
        save(file, fastopt.Adam(np.ones(3), Odd()))
    assert file.getvalue() == b""


@pytest.mark.parametrize("contents", [b"", b"PK", b"something else", b"PK\3\4" + bytes(500)])
def test_damaged_contents_change_nothing(contents):
    opt = blank()
    with refused(opt, CheckpointError, r"^checkpoint '<_io.BytesIO object at 0x\w+>' cannot be read: it is "):
        load(io.BytesIO(contents), opt)


def test_messages_name_the_file(path):
    Path(path).write_bytes(b"?")
    with open(path, "rb") as file, pytest.raises(CheckpointError, match=f"^checkpoint '{path}' "):
        load(file, blank())
    with tempfile.TemporaryFile() as file:
        save(file, trained())
        file.seek(0)
        with pytest.raises(ValueError, match=r"^checkpoint '<_io.BufferedRandom name=\d+>' does not fit the optimizer"):
            load(file, fastopt.Adam(np.zeros(3)))


def test_files_of_text_and_other_objects_are_refused(path):
    Path(path).write_text("{}")
    opt = blank()
    for file, mode in ((io.StringIO(), "wb"), (open(path, "r+"), "wb")):
        with (
            file,
            pytest.raises(TypeError, match=f"`path` must be a file of bytes, got a file of text; .* mode '{mode}'"),
        ):
            save(file, trained())
    with open(path) as file, refused(opt, TypeError, "`path` must be a file of bytes, .* mode 'rb'"):
        load(file, opt)
    for call, verb in ((save, "write"), (load, "read")):
        with pytest.raises(TypeError, match=exactly(f"`path` must be a path or a binary file to {verb}, got int.")):
            call(3, opt)
    with open(path, "rb") as file, pytest.raises(io.UnsupportedOperation):
        save(file, opt)


def test_file_that_does_not_wait():
    """It says that it has taken nothing; unbuffered files say so with None."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    os.set_blocking(read, False)
    opt = fastopt.SGD(np.ones(100_000))
    with os.fdopen(read, "rb", 0) as source, os.fdopen(write, "wb", 0) as target:
        with pytest.raises(BlockingIOError, match=r"^`path` must be a file that waits for its contents"):
            load(source, opt)
        with pytest.raises(BlockingIOError, match=r"^`path` must be a file that waits until it can be written to"):
            save(target, opt)


@pytest.mark.parametrize("taken", [0, -5, 10**30, "all", 3.0])
def test_file_that_says_nonsense_about_what_it_has_taken(taken):
    class Odd(io.BytesIO):
        def write(self, contents):
            return taken

    with pytest.raises(OSError, match=r"^`path` must be a file whose write\(\) returns how much it has taken, got"):
        save(Odd(), trained())
