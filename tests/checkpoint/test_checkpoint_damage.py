"""Damaged, foreign and hostile checkpoint files: one exception, and nothing else happens."""

import copy
import hashlib
import io
import json
import os
import pickle
import random
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from checkpoints import TREE, same, wrong

from fastopt._checkpoint import CheckpointError, read, write

# --- damaged files ---------------------------------------------------------------------------------------


DAMAGED = "it is damaged, truncated, or not a checkpoint of fastopt"
FOREIGN_START = "it is not a checkpoint of fastopt"


def test_every_truncation(small):
    for n in reversed(range(os.path.getsize(small))):
        os.truncate(small, n)
        assert wrong(small) == (DAMAGED if n else "it is empty", None), n


def test_truncation_that_ends_with_a_whole_archive(small, tmp_path):
    """Zip tools look for the end of an archive only, and would find the inner one."""
    inner, outer = np.fromfile(small, np.uint8), str(tmp_path / "outer.npz")
    write(outer, "test", inner)
    end = Path(outer).read_bytes().index(inner.tobytes()) + len(inner)
    os.truncate(outer, end)
    assert zipfile.ZipFile(outer).testzip() is None
    assert wrong(outer)[0] == DAMAGED


@pytest.mark.parametrize("more", [b"\0", b"\n", b"PK\5\6" + bytes(18)])
def test_more_at_the_end(more, small):
    with open(small, "ab") as file:
        file.write(more)
    assert wrong(small)[0] == DAMAGED


def test_something_before_the_start(small):
    contents = Path(small).read_bytes()
    Path(small).write_bytes(b"#!" + contents)
    assert wrong(small)[0] == FOREIGN_START


def test_every_flipped_bit(small):
    """Those included of which zip tools take no notice, such as dates."""
    contents = Path(small).read_bytes()
    reasons = set()
    with open(small, "r+b", buffering=0) as file:
        for at, byte in enumerate(contents):
            for bit in range(8):
                file.seek(at)
                file.write(bytes([byte ^ 1 << bit]))
                reason, _ = wrong(small)
                assert reason, (at, bit)
                reasons.add(reason)
            file.seek(at)
            file.write(bytes([byte]))
    assert same(TREE, read(small, "test"))
    assert reasons == {DAMAGED, FOREIGN_START}


@pytest.mark.parametrize("seed", range(300))
def test_larger_damage(seed, small):
    """Bytes set, blocks zeroed, removed, doubled or swapped."""
    draw, contents = random.Random(seed), bytearray(Path(small).read_bytes())
    a, b, c = sorted(draw.randrange(len(contents) + 1) for _ in range(3))
    damaged = [
        contents[:a] + bytes(b - a) + contents[b:],
        contents[:a] + draw.randbytes(b - a) + contents[b:],
        contents[:a] + contents[b:],
        contents[:b] + contents[a:],
        contents[:a] + contents[b:c] + contents[a:b] + contents[c:],
    ][seed % 5]
    Path(small).write_bytes(damaged)
    assert damaged == contents or wrong(small)[0]


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def bytes_of(writer, *args, **kwargs):
    file = io.BytesIO()
    writer(file, *args, **kwargs)
    return file.getvalue()


def repacked(contents, compression):
    """The members of an archive in a new one."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(contents)) as old, zipfile.ZipFile(file, "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return file.getvalue()


FOREIGN = {
    "text": lambda own, trap: b"step,loss\n1,0.5\n",
    "a byte": lambda own, trap: b"\0",
    "zeros": lambda own, trap: bytes(4096),
    "noise": lambda own, trap: random.Random(1).randbytes(4096),
    "noise after a signature": lambda own, trap: b"PK\3\4" + random.Random(1).randbytes(4096),
    "a pickle": lambda own, trap: pickle.dumps(trap),
    "an array": lambda own, trap: bytes_of(np.save, np.arange(9)),
    "arrays": lambda own, trap: bytes_of(np.savez, header=np.arange(9), array_0=np.arange(3)),
    "compressed arrays": lambda own, trap: bytes_of(np.savez_compressed, header=np.arange(9)),
    "pickled arrays": lambda own, trap: bytes_of(np.savez, header=np.array([trap], object)),
    "an empty archive": lambda own, trap: repacked(bytes_of(np.savez), zipfile.ZIP_STORED),
    "a checkpoint, compressed": lambda own, trap: repacked(own, zipfile.ZIP_DEFLATED),
    "a checkpoint, packed again": lambda own, trap: repacked(own, zipfile.ZIP_STORED),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_foreign_files(case, small, tmp_path):
    trap = tmp_path / "sprung"
    Path(small).write_bytes(FOREIGN[case](Path(small).read_bytes(), Trap(str(trap))))
    assert wrong(small)[0] in (DAMAGED, FOREIGN_START)
    assert not trap.exists()


# --- files with a right checksum, made to do harm -------------------------------------------------------

HOSTILE = "its checksum is right, but its contents are not those of a checkpoint"


def forge(path, header, members, compression=zipfile.ZIP_STORED):
    """Write, with its checksum, an archive of a header and other members: lists of (name, bytes of an .npy file)."""
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    members = [("header.npy", bytes_of(np.save, np.frombuffer(encoded, np.uint8))), *members]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that stand twice
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, contents in members:
                archive.writestr(name, contents)
            archive.comment = b"0" * 64
    contents = Path(path).read_bytes()[:-64]
    Path(path).write_bytes(contents + hashlib.blake2b(contents, digest_size=32).hexdigest().encode())


def header_with(**changes):
    header = {"format": "fastopt checkpoint", "version": 1, "kind": "test", "fastopt": "0", "arrays": 1}
    return header | {"tree": {"dict": {"x": {"array": 0}}}} | changes


X = bytes_of(np.save, np.arange(3.0))
PICKLED = bytes_of(np.save, np.array([{}], object))


def claiming(shape):
    """An .npy file whose first lines promise more than follows."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue()


def test_a_forged_file_may_be_good(path):
    forge(path, header_with(), [("array_0.npy", X)])
    assert same({"x": np.arange(3.0)}, read(path, "test"))


@pytest.mark.parametrize(
    "changes",
    [
        {"arrays": 0},
        {"arrays": 2},
        {"arrays": -1},
        {"arrays": "1"},
        {"arrays": None},
        {"arrays": 1.5},
        {"arrays": 10**12},
        {"arrays": True},
        {"tree": {"array": 1}},
        {"tree": {"array": "0"}},
        {"tree": {"dict": 3}},
        {"tree": {"dict": {}, "array": 0}},
        {"tree": {}},
        {"tree": {"int": "x"}},
        {"tree": {"float": "00"}},
        {"tree": {"scalar": ["|O", "00"]}},
        {"tree": {"scalar": ["<f8", "00"]}},
        {"tree": {"open": "x"}},
        {"version": None},
        {"version": float("nan")},
        {"version": True},
        {"version": "1"},
    ],
    ids=str,
)
def test_forged_headers(changes, path):
    forge(path, header_with(**changes), [("array_0.npy", X)])
    assert wrong(path)[0] == HOSTILE


@pytest.mark.parametrize(
    "encoded", [b"", b"[]", b"3", b"{", b"\xff", b"[" * 100_000, b'{"format": 1' + b"0" * 5000 + b"}"]
)
def test_headers_of_something_else(encoded, path):
    forge(path, encoded, [])
    assert wrong(path)[0] in (HOSTILE, FOREIGN_START)


def test_headers_of_other_files(path):
    forge(path, header_with(format="another"), [("array_0.npy", X)])
    assert wrong(path)[0] == FOREIGN_START
    forge(path, header_with(version=2), [("array_0.npy", X)])
    assert wrong(path)[0].startswith("it has version 2 of the format, and fastopt")
    forge(path, header_with(kind="other"), [("array_0.npy", X)])
    assert wrong(path)[0] == "it is of kind 'other', expected 'test'"


@pytest.mark.parametrize(
    "members",
    [
        [],
        [("array_1.npy", X)],
        [("array_0.npy", X), ("array_0.npy", X)],
        [("array_0.npy", X), ("array_1.npy", X)],
        [("array_0.npy", X), ("header.npy", X)],
        [("array_0.npy", b"")],
        [("array_0.npy", X[:-1])],
        [("array_0.npy", X + b"0")],
        [("array_0.npy", PICKLED)],
        [("array_0.npy", claiming((2**40,)))],
        [("array_0.npy", claiming((0, 2**62, 2**62)))],
        [("array_0.npy", claiming((2**62, 2**62, 4)))],
        [("array_0.npy", claiming((-1,)))],
    ],
    ids=range(13),
)
def test_forged_members(members, path):
    forge(path, header_with(), members)
    assert wrong(path)[0] == HOSTILE


def test_compressed_members_are_not_read(path):
    forge(path, header_with(), [("array_0.npy", bytes_of(np.save, np.zeros(10**6)))], zipfile.ZIP_DEFLATED)
    assert wrong(path)[0] == HOSTILE


# --- the exception ---------------------------------------------------------------------------------------


def test_exception(path):
    Path(path).write_bytes(b"")
    with pytest.raises(CheckpointError) as caught:
        read(path, "test")
    error = caught.value
    message = f"checkpoint {path!r} cannot be read: it is empty; resume from another copy."
    assert isinstance(error, ValueError) and str(error) == message
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(other) is CheckpointError
        assert (str(other), other.path, other.reason) == (message, path, "it is empty")
