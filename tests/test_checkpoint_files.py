"""Checkpoints: what was written is read to the last bit or refused, and a file is replaced as a whole."""

import collections
import copy
import enum
import errno
import io
import json
import os
import pickle
import random
import re
import resource
import signal
import stat
import struct
import threading
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import CASES, DTYPES, OPTIMIZERS, form_id
from helpers import bits, exactly, misaligned, read_only, refused, spread
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastopt
from fastopt import RowSparse, _checkpoint, schedules
from fastopt._checkpoint import CheckpointError, load, read, save, trees, write

TREE = {"x": np.array([1.5, np.nan]), "n": [1, None]}


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "run.npz")


@pytest.fixture
def small(path):
    write(path, "test", TREE)
    return path


@pytest.fixture
def no_sync(monkeypatch):
    """Do not wait for the disk, in tests that write many files."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def same(tree, other):
    """Whether two trees have the same types, order of keys and bits; a tuple is as good as a list."""
    if isinstance(tree, tuple):
        tree = list(tree)
    if type(tree) is not type(other):
        return False
    if isinstance(tree, dict):
        return list(tree) == list(other) and same([*tree.values()], [*other.values()])
    if isinstance(tree, list):
        return len(tree) == len(other) and all(same(*pair) for pair in zip(tree, other, strict=True))
    if isinstance(tree, (np.ndarray, np.generic)):
        return (tree.dtype.str, tree.shape, tree.tobytes()) == (other.dtype.str, other.shape, other.tobytes())
    return struct.pack("d", tree) == struct.pack("d", other) if isinstance(tree, float) else tree == other


def wrong(path, kind="test"):
    """The reason why a file is refused, or None and the tree."""
    try:
        return None, read(path, kind)
    except CheckpointError as error:
        assert error.path == path and error.reason in str(error)
        return error.reason, None


def alone(path):
    """Whether a file is the only one in its folder."""
    return os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


def arbitrary(dtype, shape, seed=0):
    """An array of arbitrary bits: signalling NaNs, their payloads, subnormals, -0.0."""
    n = np.empty(shape, dtype).nbytes
    contents = np.random.default_rng(seed).integers(0, 2 if dtype == "|b1" else 256, n, np.uint8)
    return np.frombuffer(contents.tobytes(), dtype).reshape(shape)


# --- what is written is read -----------------------------------------------------------------------------


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=5)
ARRAYS = st.builds(
    arbitrary,
    st.sampled_from(sorted(trees.DTYPES)),
    st.lists(st.integers(0, 4), max_size=4).map(tuple),
    st.integers(0, 9),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**200), 2**200),
    st.floats(),
    ANY_TEXT,
    ARRAYS,
    ARRAYS.map(lambda array: array.T),
    st.floats().map(np.float64),
    st.floats(width=32).map(np.float32),
    st.integers(0, 255).map(np.uint8),
    st.complex_numbers().map(np.complex128),
    st.booleans().map(np.bool_),
)
KEYS = st.one_of(ANY_TEXT, st.sampled_from(["dict", "array", "int", "float", "scalar"]))
TREES = st.recursive(
    LEAVES,
    lambda trees: st.one_of(
        st.lists(trees, max_size=4), st.lists(trees, max_size=4).map(tuple), st.dictionaries(KEYS, trees, max_size=4)
    ),
    max_leaves=20,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=TREES, kind=ANY_TEXT)
def test_trees(tree, kind, path, no_sync):
    write(path, kind, tree)
    assert same(tree, read(path, kind))
    with np.load(path, allow_pickle=False) as archive:
        names = list(archive)
        assert names == ["header", *(f"array_{k}" for k in range(len(names) - 2)), "checksum"]
        assert all(type(archive[name]) is np.ndarray for name in names)


LAYOUTS = {
    "C": lambda array: array,
    "Fortran": np.asfortranarray,
    "every second": spread,
    "reversed": lambda array: array[::-1],
    "broadcast": lambda array: np.broadcast_to(array, (2, *array.shape)),
    "axes moved": lambda array: np.moveaxis(array, 0, -1),
    "misaligned": misaligned,
    "read-only": read_only,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (0,), (3, 0), (1, 1), (300, 70)], ids=str)
def test_arrays(shape, layout, path, no_sync, monkeypatch):
    monkeypatch.setattr(_checkpoint, "CHUNK", 1000)
    tree = {dtype: LAYOUTS[layout](arbitrary(dtype, shape)) for dtype in trees.DTYPES}
    write(path, "test", tree)
    back = read(path, "test")
    assert same(tree, back)
    for array in back.values():
        assert array.flags.owndata and array.flags.writeable and array.flags.c_contiguous and array.flags.aligned
    with np.load(path, allow_pickle=False) as archive:
        assert same([*tree.values()], [archive[f"array_{k}"] for k in range(len(tree))])


@pytest.mark.parametrize("dtype", sorted(trees.DTYPES))
def test_arrays_without_dimensions(dtype, path):
    tree = [arbitrary(dtype, ()), arbitrary(dtype, (1,))[0]]
    write(path, "test", tree)
    assert same(tree, read(path, "test"))


def test_dtypes_are_those_of_numbers():
    kinds = {dtype.kind for dtype in trees.DTYPES.values()}
    assert kinds == set("biufc")
    for dtype in (bool, np.int8, np.uint64, np.float16, np.float32, np.float64, np.longdouble, np.complex64):
        assert {np.dtype(dtype).newbyteorder(order).str for order in "<>"} <= set(trees.DTYPES)


def test_bit_generators_go_on(path):
    for name in ("PCG64", "MT19937", "Philox", "SFC64", "PCG64DXSM"):
        generator = np.random.Generator(getattr(np.random, name)(7))
        generator.random(5, np.float32)
        write(path, "test", generator.bit_generator.state)
        other = np.random.Generator(getattr(np.random, name)())
        other.bit_generator.state = read(path, "test")
        assert np.array_equal(generator.integers(0, 2**63, 9), other.integers(0, 2**63, 9))


def test_integers_of_any_size(path):
    tree = [sign * (2**power + more) for power in (53, 63, 64, 127, 20_000) for more in (-1, 0, 1) for sign in (-1, 1)]
    write(path, "test", tree)
    assert same(tree, read(path, "test"))


def test_bits_of_floats(path):
    """Payloads and signs of NaN, of which repr says nothing."""
    words = [0x7FF8 << 48, 0xFFF8 << 48, 0x7FF8000000000123, 0x7FF4000000000001, 0x7FF0 << 48, 1 << 63, 1, 0x3FF << 52]
    tree = [struct.unpack("<d", struct.pack("<Q", word))[0] for word in words]
    write(path, "test", tree)
    assert [struct.unpack("<Q", struct.pack("<d", value))[0] for value in read(path, "test")] == words


def test_strings(path):
    """Halves of a surrogate pair, alone or side by side, are not what the pair is."""
    texts = ["", "\0", "\n", '"', "\\", "\\u0041", "é", "\ud83d", "\ude00\ud83d", "\ud83d\ude00", "\U0001f600"]
    write(path, "test", {text: text for text in texts})
    assert same({text: text for text in texts}, read(path, "test"))


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_subclasses_are_written_as_their_bases(path):
    point = collections.namedtuple("point", "x y")
    level, mode = enum.IntEnum("level", "low"), enum.StrEnum("mode", "off")
    ordered = collections.OrderedDict(a=point(1, level.low), b=mode.off, c=np.str_("d"))
    write(path, "test", ordered | {"m": np.matrix([[1, 2], [3, 4]]), "t": np.matrix([[1, 2]]).T[::-1]})
    arrays = {"m": np.array([[1, 2], [3, 4]]), "t": np.array([[2], [1]])}
    assert same({"a": [1, 1], "b": "off", "c": "d"} | arrays, read(path, "test"))


def test_same_tree_same_bytes(path, tmp_path):
    other = tmp_path / "other.npz"
    for each in (path, other):
        write(each, "test", TREE)
    assert other.read_bytes() == Path(path).read_bytes()


@pytest.mark.parametrize("sort", [str, os.fsencode, Path], ids=["str", "bytes", "PathLike"])
def test_paths(sort, tmp_path):
    path = sort(str(tmp_path / "ä no suffix"))
    write(path, "test", TREE)
    assert same(TREE, read(path, "test"))
    assert os.listdir(tmp_path) == ["ä no suffix"]
    write(path, "other", 1)
    message = (
        f"checkpoint {str(tmp_path / 'ä no suffix')!r} cannot be read: it is of kind 'other', expected 'test'; "
        "pass it to what wrote it."
    )
    with pytest.raises(CheckpointError, match=exactly(message)):
        read(path, "test")


def test_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("run", "test", TREE)
    assert same(TREE, read("run", "test")) and os.listdir() == ["run"]


def test_zip_tools_agree(small):
    with zipfile.ZipFile(small) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["header.npy", "array_0.npy", "checksum.npy"]
        header = json.loads(np.load(archive.open("header.npy")).tobytes())
    assert header == {
        "format": "fastopt checkpoint",
        "version": 1,
        "kind": "test",
        "fastopt": fastopt.__version__,
        "tree": {"dict": {"x": {"array": 0}, "n": [1, None]}},
        "arrays": [{"name": "array_0", "dtype": "<f8", "shape": [2]}],
    }


def test_memory_of_a_large_array(path):
    """Neither direction makes a copy of an array, whatever its order."""
    large = np.zeros((1000, 2000))
    for array in (large, large.T, large[:, ::2]):
        tracemalloc.start()
        try:
            write(path, "test", array)
            wrote = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
            read(path, "test")
            assert wrote < 4 * 2**20
            assert tracemalloc.get_traced_memory()[1] < array.nbytes + 2**20
        finally:
            tracemalloc.stop()


# --- what cannot be written ------------------------------------------------------------------------------


NO_TREE = "must be a dict, a list, a number, a string, None or a NumPy array, got"
NO_NUMBERS = "must hold numbers or booleans, got"
UNWRITABLE = {
    "an object": ({"a": [1, 2, 3, object()]}, f"`tree['a'][3]` {NO_TREE} object."),
    "a set": ([{"b": {1}}], f"`tree[0]['b']` {NO_TREE} set."),
    "bytes": (b"x", f"`tree` {NO_TREE} bytes."),
    "a complex number": ((1j,), f"`tree[0]` {NO_TREE} complex."),
    "an array of objects": ({"a": np.array([None])}, f"`tree['a']` {NO_NUMBERS} dtype object."),
    "an array of strings": (np.array(["a"]), f"`tree` {NO_NUMBERS} dtype <U1."),
    "an array of records": (np.zeros(2, "f8,i4"), f"`tree` {NO_NUMBERS} dtype [('f0', '<f8'), ('f1', '<i4')]."),
    "an array of dates": (np.zeros(2, "M8[s]"), f"`tree` {NO_NUMBERS} dtype datetime64[s]."),
    "a date": (np.datetime64("2026-08-01"), f"`tree` {NO_NUMBERS} dtype datetime64[D]."),
    "a masked array": (np.ma.zeros(3), f"`tree` {NO_NUMBERS} a masked array."),
    "a masked entry": (np.ma.masked, f"`tree` {NO_NUMBERS} a masked array."),
    "a key": ({"a": {3: 1}}, "`tree['a']` must have strings as keys, got 3."),
}


@pytest.mark.parametrize("case", UNWRITABLE)
def test_what_is_refused(case, small):
    tree, message = UNWRITABLE[case]
    with pytest.raises(TypeError, match=exactly(message)):
        write(small, "test", tree)
    assert same(TREE, read(small, "test")) and alone(small)


def nested(depth):
    tree = []
    for k in range(depth - 1):
        tree = [tree] if k % 2 else {"a": tree}
    return tree


def test_depth(small):
    write(small, "test", nested(trees.DEEPEST))
    assert same(nested(trees.DEEPEST), read(small, "test"))
    endless = []
    endless.append(endless)
    for tree in (nested(trees.DEEPEST + 1), endless):
        with pytest.raises(ValueError, match=r"^`tree` must have at most 64 levels, got more at `tree\["):
            write(small, "test", tree)
    assert same(nested(trees.DEEPEST), read(small, "test")) and alone(small)


@pytest.mark.parametrize("path", [None, 3, ["run.npz"]], ids=repr)
def test_what_is_no_path(path):
    with pytest.raises(TypeError):
        write(path, "test", TREE)
    with pytest.raises(TypeError):
        read(path, "test")


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
    "no memory half-way": (_checkpoint, "_directory", MemoryError()),
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


# --- damaged files ---------------------------------------------------------------------------------------


def test_every_truncation(small):
    for n in reversed(range(os.path.getsize(small))):
        os.truncate(small, n)
        assert wrong(small) == ("it is truncated" if n else "it is empty", None), n


def test_truncation_that_ends_with_a_whole_archive(small, path, tmp_path):
    """Zip tools look for the end of an archive only, and would find the inner one."""
    inner, outer = np.fromfile(small, np.uint8), str(tmp_path / "outer.npz")
    write(outer, "test", inner)
    contents = Path(outer).read_bytes()
    end = contents.index(inner.tobytes()) + len(inner)
    os.truncate(outer, end)
    assert zipfile.ZipFile(outer).testzip() is None
    assert wrong(outer)[0] == "it is truncated"


@pytest.mark.parametrize("more", [b"\0", b"\n", b"PK\5\6" + bytes(18)])
def test_more_at_the_end(more, small):
    with open(small, "ab") as file:
        file.write(more)
    assert wrong(small)[0] == "it goes on after its end"


def test_something_before_the_start(small):
    contents = Path(small).read_bytes()
    Path(small).write_bytes(b"#!" + contents)
    assert wrong(small)[0] == "it is not a checkpoint of fastopt, or its beginning is damaged"


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
    assert reasons == {
        "it is damaged",
        "it is not a checkpoint of fastopt, or its beginning is damaged",
    }


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
    assert wrong(small)[0] == "it is not a checkpoint of fastopt, or its beginning is damaged"
    assert not trap.exists()


# --- forged files, with checksums that are right ---------------------------------------------------------


def forge(path, header, arrays):
    """A file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    with open(path, "wb") as file:
        _checkpoint._write_archive(file, np.frombuffer(text, np.uint8), arrays)


def header_of(path):
    with np.load(path, allow_pickle=False) as archive:
        return json.loads(archive["header"].tobytes())


def with_array(**change):
    return {"arrays": [{"name": "array_0", "dtype": "<f8", "shape": [2]} | change]}


DAMAGED, TRUNCATED = "it is damaged", "it is truncated"
FORGED = {
    "an unknown tag": ({"tree": {"set": [{"array": 0}]}}, DAMAGED),
    "two tags": ({"tree": {"array": 0, "int": "1"}}, DAMAGED),
    "no tag": ({"tree": [{"array": 0}, {}]}, DAMAGED),
    "a dict that is none": ({"tree": {"dict": [{"array": 0}]}}, DAMAGED),
    "no such array": ({"tree": {"array": 1}}, DAMAGED),
    "a negative array": ({"tree": {"array": -1}}, DAMAGED),
    "an array by no number": ({"tree": {"array": [0]}}, DAMAGED),
    "one array twice": ({"tree": [{"array": 0}, {"array": 0}]}, DAMAGED),
    "an array without use": ({"tree": []}, DAMAGED),
    "an integer in words": ({"tree": [{"array": 0}, {"int": "one"}]}, DAMAGED),
    "an integer as such": ({"tree": [{"array": 0}, {"int": 1}]}, DAMAGED),
    "half a float": ({"tree": [{"array": 0}, {"float": "00000000"}]}, DAMAGED),
    "a float as such": ({"tree": [{"array": 0}, {"float": 1.0}]}, DAMAGED),
    "half a scalar": ({"tree": [{"array": 0}, {"scalar": ["<f8", "00000000"]}]}, DAMAGED),
    "two scalars": ({"tree": [{"array": 0}, {"scalar": ["<f8", "00" * 16]}]}, DAMAGED),
    "no scalar": ({"tree": [{"array": 0}, {"scalar": ["<f8", ""]}]}, DAMAGED),
    "a scalar of objects": ({"tree": [{"array": 0}, {"scalar": ["|O", "00" * 8]}]}, DAMAGED),
    "a scalar without dtype": ({"tree": [{"array": 0}, {"scalar": "00"}]}, DAMAGED),
    "no arrays": ({"arrays": None}, DAMAGED),
    "arrays by name": ({"arrays": {"array_0": 1}}, DAMAGED),
    "too few arrays": ({"arrays": [], "tree": None}, "it goes on after its end"),
    "too many arrays": (
        {"arrays": [{"name": f"array_{k}", "dtype": "<f8", "shape": [2]} for k in range(2)]},
        TRUNCATED,
    ),
    "an array without shape": ({"arrays": [{"name": "array_0", "dtype": "<f8"}]}, DAMAGED),
    "an array with more": (with_array(k=0), DAMAGED),
    "an array with strides": (with_array(strides=[0]), DAMAGED),
    "another name": (with_array(name="array_1"), DAMAGED),
    "a name that leads away": (with_array(name="../array_0"), DAMAGED),
    "no name": (with_array(name=None), DAMAGED),
    "objects": (with_array(dtype="|O"), "it has an array of dtype '|O', which is not known here"),
    "records": (with_array(dtype="f8,f8"), "it has an array of dtype 'f8,f8', which is not known here"),
    "another dtype": (with_array(dtype="<i8"), DAMAGED),
    "another byte order": (with_array(dtype=">f8"), DAMAGED),
    "a dtype that is none": (with_array(dtype=["<f8"]), DAMAGED),
    "another shape": (with_array(shape=[1, 2]), DAMAGED),
    "no dimensions": (with_array(shape=[]), "it goes on after its end"),
    "no shape": (with_array(shape=None), DAMAGED),
    "a shape in words": (with_array(shape="2"), DAMAGED),
    "a negative shape": (with_array(shape=[-2]), DAMAGED),
    "a negative shape twice": (with_array(shape=[-2, -1]), DAMAGED),
    "a fractional shape": (with_array(shape=[2.0]), DAMAGED),
    "true for a shape": (with_array(shape=[True, 2]), DAMAGED),
    "a gigabyte": (with_array(shape=[2**27]), TRUNCATED),
    "an exabyte": (with_array(shape=[2**57]), TRUNCATED),
    "more than there is": (with_array(shape=[2**62] * 64), TRUNCATED),
    "too many dimensions": (with_array(shape=[1] * 65), DAMAGED),
    "dimensions too large": (with_array(shape=[2**63]), DAMAGED),
    "a missing entry": ({"missing": "tree"}, DAMAGED),
    "an unknown entry": ({"more": 1}, DAMAGED),
    "version 2": (
        {"version": 2, "kind": "later", "tree": {"later": 1}, "more": 1},
        f"it has version 2 of the format, and fastopt {fastopt.__version__} reads version 1 only",
    ),
    "kind": ({"kind": "minimize"}, "it is of kind 'minimize', expected 'test'"),
    "no kind": ({"kind": None}, "it is of kind None, expected 'test'"),
}


@pytest.mark.parametrize("case", FORGED)
def test_forged_headers(case, small):
    change, reason = FORGED[case]
    header = header_of(small) | change
    header.pop(header.pop("missing", None), None)
    forge(small, header, [TREE["x"]])
    tracemalloc.start()
    try:
        assert wrong(small)[0] == reason
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_forging_leads_to_a_good_file(small):
    forge(small, header_of(small), [TREE["x"]])
    assert same(TREE, read(small, "test"))


NOT_OURS = {
    "nothing": b"",
    "no JSON": b"{",
    "no UTF-8": b'"\xff"',
    "a number": b"1",
    "a list": b"[]",
    "an empty object": b"{}",
    "another format": b'{"format": "other", "version": 1}',
    "no version": b'{"format": "fastopt checkpoint"}',
    "a version in words": b'{"format": "fastopt checkpoint", "version": "1"}',
    "true for a version": b'{"format": "fastopt checkpoint", "version": true}',
    "version 0": b'{"format": "fastopt checkpoint", "version": 0}',
    "a number of too many digits": b"1" * 10_000,
}


@pytest.mark.parametrize("case", NOT_OURS)
def test_headers_of_something_else(case, path):
    forge(path, NOT_OURS[case], [])
    assert wrong(path)[0] == "it is not a checkpoint of fastopt, or its beginning is damaged"


@pytest.mark.parametrize("opening, closing", [("[", "]"), ('{"dict":{"a":', "}}")], ids=["lists", "dicts"])
@pytest.mark.parametrize("depth", [400, 100_000])
def test_deeply_nested_headers(opening, closing, depth, small):
    text = json.dumps(header_of(small) | {"arrays": [], "tree": "here"})
    forge(small, text.replace('"here"', opening * depth + "1" + closing * depth).encode(), [])
    reason, tree = wrong(small)
    assert reason == "it is nested too deeply" or (depth == 400 and tree is not None)


def test_impossible_shape_without_elements(small):
    """It takes no memory, so that its size is right, but is no shape of an array."""
    header = header_of(small) | with_array(shape=[0, 2**62, 2**62])
    member = _checkpoint._Member("array_0", "<f8", [0, 2**62, 2**62])
    small_member = _checkpoint._Member("array_0", "<f8", [0])
    assert member.size == small_member.size
    forge(small, header, [np.zeros(0)])
    contents = Path(small).read_bytes()
    Path(small).write_bytes(contents.replace(small_member.prefix, member.prefix))
    assert wrong(small)[0] == DAMAGED


def assemble(path, names):
    """An archive of some members of a good one, each of them in order and with its checksum right."""
    header = {"header": _checkpoint._to_json(header_of(path)), "array_0": TREE["x"], "array_1": TREE["x"]}
    digest, entries = _checkpoint._new_digest(), []
    with open(path, "wb") as file:
        for name in names:
            array = header.get(name)
            if name == "checksum":
                array = np.frombuffer(digest.digest(), np.uint8)
            entries.append(_checkpoint._write_member(file, name, array, digest))
        file.write(_checkpoint._directory(entries, file.tell()))


ASSEMBLIES = {
    "nothing": ([], "it is not a checkpoint of fastopt, or its beginning is damaged"),
    "no header": (["array_0", "checksum"], "it is not a checkpoint of fastopt, or its beginning is damaged"),
    "no array": (["header", "checksum"], "it is truncated"),
    "no checksum": (["header", "array_0"], "it is truncated"),
    "header only": (["header"], "it is truncated"),
    "an array too many": (["header", "array_0", "array_1", "checksum"], "it goes on after its end"),
    "an array twice": (["header", "array_0", "array_0", "checksum"], "it goes on after its end"),
    "a header twice": (["header", "header", "array_0", "checksum"], "it goes on after its end"),
    "another array": (["header", "array_1", "checksum"], "it is damaged"),
    "another order": (["header", "checksum", "array_0"], "it is damaged"),
    "two arrays": (["header", "array_0", "array_0"], "it is truncated"),
}


@pytest.mark.parametrize("case", ASSEMBLIES)
def test_missing_and_extra_members(case, small):
    names, reason = ASSEMBLIES[case]
    assemble(small, names)
    assert wrong(small)[0] == reason
    if "header" in names:
        assert zipfile.ZipFile(small).testzip() is None


def test_checksum_is_looked_at(small, monkeypatch):
    """Contents and CRC changed in accord: only the checksum tells."""
    real = _checkpoint._new_digest
    monkeypatch.setattr(_checkpoint, "_new_digest", lambda: _checkpoint.hashlib.blake2b(b"salt", digest_size=32))
    write(small, "test", TREE)
    assert same(TREE, read(small, "test"))
    monkeypatch.setattr(_checkpoint, "_new_digest", real)
    assert wrong(small)[0] == "it is damaged"


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


# --- optimizers ------------------------------------------------------------------------------------------


SHAPES = {"w": (7, 3), "b": (), "none": (0,), "v": (300,)}


def draw(rng, dtype, shapes=SHAPES):
    return {name: np.asarray(rng.standard_normal(shape), dtype) for name, shape in shapes.items()}


def copied(params):
    return {name: array.copy() for name, array in params.items()}


def blank(params):
    return {name: np.full_like(array, 9) for name, array in params.items()}


ALLOCATING = ("momentum", "amsgrad", "centered")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_resumed_run_has_the_same_bits(case, dtype, path, rng, no_sync):
    cls, keywords = case
    params = draw(rng, dtype)
    keywords = keywords | {"learning_rate": 0.02, "weight_decay": 0.1, "clip_norm": 2.0}
    never, opt = cls(copied(params), **keywords), cls(copied(params), **keywords)
    for _ in range(3):
        grad = draw(rng, dtype)
        never.step(grad)
        opt.step(grad)
    save(path, opt)
    arrays = blank(params)
    resumed = cls(arrays, num_threads=1, **{name: keywords[name] for name in ALLOCATING if name in keywords})
    load(path, resumed)
    assert bits(resumed) == bits(opt) and resumed.num_threads == 1
    for _ in range(5):
        grad = draw(rng, dtype)
        for each in (never, opt, resumed):
            each.step(grad)
    assert bits(resumed) == bits(opt) == bits(never)
    assert resumed.params["w"] is arrays["w"] and resumed.last_grad_norm == never.last_grad_norm


def row_gradients(rng, dtype, steps):
    for step in range(steps):
        rows = {name: rng.integers(0, n, 4) for name, n in (("w", 30), ("v", 50))}
        if step == steps - 1:
            yield {"w": rng.standard_normal((30, 4)).astype(dtype), "v": rng.standard_normal(50).astype(dtype)}
        else:
            yield {
                "w": RowSparse(rows["w"], rng.standard_normal((4, 4)).astype(dtype)),
                "v": RowSparse(rows["v"], rng.standard_normal(4).astype(dtype)),
            }


@pytest.mark.parametrize("mode", ["lazy", "exact"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_rows_outstanding(cls, dtype, mode, path, rng, no_sync):
    params = draw(rng, dtype, {"w": (30, 4), "v": (50,)})
    never, opt = (cls(copied(params), sparse=mode) for _ in range(2))
    grads = list(row_gradients(rng, dtype, 9))
    for grad in grads[:4]:
        never.step(grad)
        opt.step(grad)
    save(path, opt)
    resumed = cls(blank(params))
    load(path, resumed)
    outstanding = [array is not None for array in opt._last_steps]
    assert [array is not None for array in resumed._last_steps] == outstanding
    if cls in (fastopt.Adadelta, fastopt.RMSprop) and mode == "exact":
        assert all(outstanding)
    for grad in grads[4:]:
        for each in (never, opt, resumed):
            each.step(grad)
    assert bits(resumed) == bits(opt) == bits(never)


@pytest.mark.parametrize("structure", [lambda a, b: a, lambda a, b: [a, b], lambda a, b: {1: a, (2, "b"): b}])
def test_structures(structure, path, rng):
    opt = fastopt.Adam(structure(*rng.standard_normal((2, 3, 4))))
    opt.step(structure(*rng.standard_normal((2, 3, 4))))
    save(path, opt)
    resumed = fastopt.Adam(structure(*np.zeros((2, 3, 4))))
    load(path, resumed)
    assert bits(resumed) == bits(opt)


def test_schedule_goes_on(path):
    def make():
        rate = schedules.warmup(schedules.reduce_on_plateau(0.1, factor=0.5, patience=0), 2)
        return fastopt.Adam(np.ones(3), rate)

    opt, resumed = make(), make()
    opt.step(np.ones(3))
    for value in (1.0, 2.0, 2.0):
        opt.learning_rate.update(value)
    save(path, opt)
    load(path, resumed)
    assert resumed.learning_rate.state_dict() == opt.learning_rate.state_dict() != make().learning_rate.state_dict()


def test_counters_and_hyperparameters(path):
    opt = fastopt.NAdam(np.ones(3), nonfinite="skip", beta_1=0.5)
    for grad in (1.0, np.nan, 2.0):
        opt.step(np.full(3, grad))
    opt.learning_rate = 0.3
    save(path, opt)
    resumed = fastopt.NAdam(np.zeros(3))
    load(path, resumed)
    assert repr(resumed) == repr(opt) and resumed.skipped_steps == 1 and resumed._carry == opt._carry


def test_saving_changes_nothing(path, rng):
    opt = fastopt.RMSprop(rng.standard_normal((30, 4)), sparse="exact")
    opt.step(RowSparse([1, 2], rng.standard_normal((2, 4))))
    outstanding = opt._last_steps[0].copy()
    save(path, opt)
    first = Path(path).read_bytes()
    assert np.array_equal(opt._last_steps[0], outstanding)
    save(path, opt)
    assert Path(path).read_bytes() == first


class Odd:
    """A schedule whose state is no plain thing."""

    def __call__(self, t):
        return 0.1

    def state_dict(self):
        return {"seen": {1, 2}}

    def load_state_dict(self, state):
        raise KeyError("seen")


def test_schedule_that_cannot_be_written(path):
    with pytest.raises(TypeError, match=r"^`tree\['schedule'\]\['seen'\]` must be a dict, .*, got set\.$"):
        save(path, fastopt.Adam(np.ones(3), Odd()))
    assert os.listdir(os.path.dirname(path)) == []


def test_schedule_that_does_not_load(path):
    saved = fastopt.Adam(np.ones(3), schedules.reduce_on_plateau(0.1))
    saved.step(np.ones(3))
    save(path, saved)
    opt = fastopt.Adam(np.zeros(3), Odd())
    with refused(opt, KeyError, "seen"):
        load(path, opt)


def frozen(opt):
    opt.params["w"].flags.writeable = False
    return opt


def weights(dtype="float64", **shapes):
    return {name: np.ones(shape, dtype) for name, shape in (shapes or {"w": 3, "b": 3}).items()}


MISFITS = {
    "class": (lambda: fastopt.Yogi(weights()), "`state_dict['optimizer']` must be 'Yogi', got 'Adam'."),
    "slots": (lambda: fastopt.Adam(weights(), amsgrad=True), "`state_dict['state']` must have the entries "),
    "rate": (
        lambda: fastopt.Adam(weights(), schedules.constant(0.1)),
        "`state_dict['learning_rate']` must be a schedule like the optimizer's, got a number; ",
    ),
    "shape": (
        lambda: fastopt.Adam(weights(w=3, b=(3, 1))),
        "`params['b']` must be float64 of shape (3,) like the saved one, got float64 of shape (3, 1).",
    ),
    "dtype": (
        lambda: fastopt.Adam(weights("float32")),
        "`params['w']` must be float64 of shape (3,) like the saved one, got float32 of shape (3,).",
    ),
    "fewer": (lambda: fastopt.Adam(np.ones(3)), "`params` must be saved as a list of 1 arrays, got 2 of them."),
    "more": (
        lambda: fastopt.Adam(weights(w=3, b=3, c=3)),
        "`params` must be saved as a list of 3 arrays, got 2 of them.",
    ),
    "order": (
        lambda: fastopt.Adam(weights(b=3, w=3)),
        "`params` must have the keys ['w', 'b'] in this order, got ['b', 'w'].",
    ),
    "read-only": (lambda: frozen(fastopt.Adam(weights())), "`params['w']` must be writable, "),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_misfit_changes_nothing(misfit, path):
    make, reason = MISFITS[misfit]
    saved = fastopt.Adam(weights(), 0.3)
    saved.step({"w": np.ones(3), "b": np.arange(3.0)})
    save(path, saved)
    opt = make()
    values = dict(opt._values)
    with refused(opt, ValueError, "^" + re.escape(f"checkpoint {path!r} does not fit the optimizer: {reason}")):
        load(path, opt)
    assert opt._values == values


TREES_OF_OTHERS = {
    "a list": ([1, 2], "`params` must be saved as a list of 1 arrays, got NoneType."),
    "no parameters": ({}, "`params` must be saved as a list of 1 arrays, got NoneType."),
    "parameters only": ({"params": [np.ones(3)]}, "`state_dict` must have the entries "),
    "no arrays": ({"params": [1.0]}, "`params` must be float like the saved one, got float64 of shape (3,)."),
    "byte order": (
        {"params": [np.ones(3, ">f8")]},
        "`params` must be >f8 of shape (3,) like the saved one, got float64 of shape (3,).",
    ),
}


@pytest.mark.parametrize("case", TREES_OF_OTHERS)
def test_intact_file_that_is_no_state(case, path):
    tree, reason = TREES_OF_OTHERS[case]
    write(path, "optimizer", tree)
    opt = fastopt.Adam(np.zeros(3))
    with refused(opt, ValueError, f"^checkpoint .* does not fit the optimizer: {re.escape(reason)}"):
        load(path, opt)


def test_unreadable_file_changes_nothing(path):
    opt = fastopt.Adam(np.zeros(3))
    with refused(opt, FileNotFoundError, "run.npz"):
        load(path, opt)
    write(path, "minimize", {})
    with refused(opt, CheckpointError, "it is of kind 'minimize', expected 'optimizer'; pass it to what wrote it.$"):
        load(path, opt)
    save(path, fastopt.Adam(np.ones(3)))
    contents = bytearray(Path(path).read_bytes())
    contents[-300] ^= 1
    Path(path).write_bytes(contents)
    with refused(opt, CheckpointError, "it is damaged"):
        load(path, opt)


@pytest.mark.parametrize("given", [None, np.ones(3), fastopt.Adam, "run.npz"], ids=lambda each: type(each).__name__)
def test_what_is_no_optimizer(given, path):
    for call in (save, load):
        message = f"`optimizer` must be a fastopt.Optimizer, got {type(given).__name__}."
        with pytest.raises(TypeError, match=exactly(message)):
            call(path, given)
    assert os.listdir(os.path.dirname(path)) == []
