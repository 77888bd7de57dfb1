"""What is written to a checkpoint is read again, bit for bit; what cannot be is refused."""

import collections
import enum
import json
import os
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from checkpoints import TREE, alone, arbitrary, same
from helpers import exactly, misaligned, read_only, spread
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastopt
from fastopt._checkpoint import CheckpointError, read, trees, write

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
        assert names == ["header", *(f"array_{k}" for k in range(len(names) - 1))]
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
def test_arrays(shape, layout, path, no_sync):
    tree = {dtype: LAYOUTS[layout](arbitrary(dtype, shape)) for dtype in trees.DTYPES}
    write(path, "test", tree)
    back = read(path, "test")
    assert same(tree, back)
    for array in back.values():
        assert array.flags.writeable and array.flags.c_contiguous and array.flags.aligned
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


def can_be_named(name):
    """Whether the locale has the letters of the name of a file."""
    try:
        return bool(os.fsencode(name))
    except UnicodeEncodeError:
        return False


@pytest.mark.skipif(not can_be_named("ä"), reason="needs a locale with more letters")
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
        assert archive.namelist() == ["header.npy", "array_0.npy"]
        header = json.loads(np.load(archive.open("header.npy")).tobytes())
    assert header == {
        "format": "fastopt checkpoint",
        "version": 1,
        "kind": "test",
        "fastopt": fastopt.__version__,
        "arrays": 1,
        "tree": {"dict": {"x": {"array": 0}, "n": [1, None]}},
    }
    assert list(np.load(small, allow_pickle=False)) == ["header", "array_0"]


def test_memory_of_a_large_array(path):
    """Neither direction makes a copy of an array, but for buffers of 16 MiB."""
    large = np.zeros((4000, 2000))
    for array in (large, large[:, ::2]):
        tracemalloc.start()
        try:
            write(path, "test", array)
            wrote = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
            read(path, "test")
            assert wrote < 17 * 2**20
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
