"""Checkpoint files: trees of plain values and arrays in an .npz without pickle, with a checksum, replaced atomically.

    header.npy    JSON as uint8: format, version, kind, version of fastopt, number of arrays, and the tree
    array_0.npy   the arrays, in the order in which they stand in the tree
    ...

The archive's comment is a checksum: the BLAKE2b digest of all bytes before it. A file with a flipped bit or without
its end is refused before its contents are read.
"""

import contextlib
import hashlib
import io
import math
import os
import struct
import zipfile

import numpy as np

from .._validation import files as validation
from .._validation.text import shown
from .._version import __version__
from . import trees
from .replacement import replacement

FORMAT = "fastopt checkpoint"
VERSION = 1
CHECKSUM_BYTES = 64  # hexadecimal digits, in which no signature of the zip format can occur
CHUNK = 2**20
MAGIC = b"PK\3\4"


class CheckpointError(ValueError):
    """A file that is not an intact checkpoint of the kind asked for.

    Parameters
    ----------
    path : str
        The file.
    reason : str
        What is wrong with it.
    remedy : str
        What to do about it.

    Attributes
    ----------
    path, reason : str
        As given.
    """

    def __init__(self, path, reason, remedy="resume from another copy"):
        super().__init__(path, reason, remedy)  # the arguments that pickle makes it from
        self.path, self.reason = path, reason

    def __str__(self):
        path, reason, remedy = self.args
        return f"checkpoint {path!r} cannot be read: {reason}; {remedy}."


def write(path, kind, tree):
    """Write a tree to a file, which is replaced atomically.

    Parameters
    ----------
    path : str, os.PathLike or binary file
        The file; no suffix is added. A link is followed. What is open is written to, from its position on.
    kind : str
        What the tree is, for `read` to ask for.
    tree : dict, list, tuple, None, bool, int, float, str, numpy scalar or ndarray
        Nested up to `trees.DEEPEST` levels; keys are strings, dtypes are those of numbers and booleans. Instances of
        subclasses are written as what they are derived from.
    """
    arrays = []
    encoded = trees.encode(tree, (), arrays)
    header = {
        "format": FORMAT, "version": VERSION, "kind": kind, "fastopt": __version__, "arrays": len(arrays),
        "tree": encoded,
    }  # fmt: skip
    members = zip(_names(len(arrays)), [trees.to_json(header), *arrays], strict=True)
    if isinstance(path, (str, bytes, os.PathLike)):
        with replacement(os.fsdecode(path)) as file:
            _write_members(file, members)
        return
    validation.binary_file("path", path, "write", "wb")
    archive = io.BytesIO()  # it is read again for the checksum, and sockets and pipes have no way back
    _write_members(archive, members)
    _write_all(path, archive.getbuffer())


def _write_members(file, members):
    """Write an archive of arrays with its checksum to an empty file."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in members:
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
        archive.comment = b"0" * CHECKSUM_BYTES
    checksum = _digest(file)
    file.seek(-CHECKSUM_BYTES, os.SEEK_END)
    file.write(checksum)


def _write_all(file, contents):
    """Write to a file that may take a part at a time, as unbuffered ones do."""
    while len(contents):
        written = file.write(contents)
        if written is None and not isinstance(file, io.RawIOBase):
            return  # not all classes of files say how much they have taken, which is all of it
        contents = contents[validation.written_bytes("path", written, len(contents)) :]


def read(path, kind):
    """Return the tree of a file that `write` wrote.

    Parameters
    ----------
    path : str, os.PathLike or binary file
        The file. What is open is read from its position to its end.
    kind : str
        What `write` was told.

    Returns
    -------
    dict, list, None, bool, int, float, str, numpy scalar or ndarray
        The tree, tuples being lists. Arrays are new, writable and in C order; they keep dtype and byte order.

    Raises
    ------
    CheckpointError
        When anything but the tree that was written would be returned.
    """
    if isinstance(path, (str, bytes, os.PathLike)):
        path = os.fsdecode(path)
        with open(path, "rb") as file:
            return _read_members(file, path, kind)
    validation.binary_file("path", path, "read", "rb")
    contents = path.read()
    validation.binary_contents("path", contents)
    return _read_members(io.BytesIO(contents), label(path), kind)


def label(path):
    """What messages call a file: its path, or what an open one says of itself."""
    if isinstance(path, (str, bytes, os.PathLike)):
        return os.fsdecode(path)
    name = getattr(path, "name", None)  # of descriptors and of temporary files it is a number
    return name if isinstance(name, str) else repr(path)


@contextlib.contextmanager
def opened(path, kind):
    """The tree of a file, as `read` returns it, with a `StoredArray` in the place of each array while it is open.

    The checksum is that of all of the file, which is read for it, but not kept.
    """
    with open(os.fsdecode(path), "rb") as file:
        yield _read_members(file, os.fsdecode(path), kind, _stored)


def _read_members(file, path, kind, array_of=None):
    """The tree in an open file, which messages call `path`."""
    _check_checksum(file, path)
    try:
        with zipfile.ZipFile(file) as archive:
            header = _header(archive, path, kind)
            arrays = [(array_of or _array)(archive, name) for name in _names(header["arrays"])[1:]]
            return trees.decode(header["tree"], arrays)
    except CheckpointError:
        raise
    except _ERRORS_OF_CONTENTS:
        reason = "its checksum is right, but its contents are not those of a checkpoint"
        raise CheckpointError(path, reason) from None


@contextlib.contextmanager
def contents_of(path):
    """Name the file in the exception for contents that do not fit."""
    try:
        yield
    except (TypeError, ValueError) as error:
        reason = f"its contents do not fit: {str(error).removesuffix('.')}"
        remedy = "resume from another copy, or with the arguments of the saved run"
        raise CheckpointError(label(path), reason, remedy) from error


@contextlib.contextmanager
def fits_optimizer(path):
    """Name the file in the exception for an optimizer of the caller's that is not like the saved one."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ValueError(f"checkpoint {label(path)!r} does not fit the optimizer: {error}") from error


# Exceptions that a file may cause whose checksum is right, but which was made by others to do harm.
_ERRORS_OF_CONTENTS = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, RuntimeError, TypeError, ValueError,
    struct.error, zipfile.BadZipFile,
)  # fmt: skip


def _names(n_arrays):
    return ["header.npy", *(f"array_{k}.npy" for k in range(n_arrays))]


def _digest(file):
    """The checksum of what a file holds before its last CHECKSUM_BYTES bytes."""
    digest, left = hashlib.blake2b(digest_size=CHECKSUM_BYTES // 2), file.seek(0, os.SEEK_END) - CHECKSUM_BYTES
    file.seek(0)
    while left > 0:
        chunk = file.read(min(left, CHUNK))
        digest.update(chunk)
        left -= len(chunk)
    return digest.hexdigest().encode()


def _check_checksum(file, path):
    start = file.read(len(MAGIC))
    if not start:
        raise CheckpointError(path, "it is empty")
    if not MAGIC.startswith(start):
        raise CheckpointError(path, "it is not a checkpoint of fastopt", "pass the file that was written")
    if file.seek(0, os.SEEK_END) <= CHECKSUM_BYTES or _digest(file) != file.read(CHECKSUM_BYTES):
        raise CheckpointError(path, "it is damaged, truncated, or not a checkpoint of fastopt")


def _header(archive, path, kind):
    """The header, checked as far as the tree."""
    header = trees.from_json(_array(archive, "header.npy"))
    if header["format"] != FORMAT:
        raise CheckpointError(path, "it is not a checkpoint of fastopt", "pass the file that was written")
    if type(header["version"]) is not int:
        raise ValueError
    if header["version"] > VERSION:
        reads = f"fastopt {__version__} reads version {VERSION} only"
        raise CheckpointError(path, f"it has version {header['version']} of the format, and {reads}", "upgrade fastopt")
    if header["kind"] != kind:
        reason = f"it is of kind {shown(header['kind'])}, expected {kind!r}"
        raise CheckpointError(path, reason, "pass it to what wrote it")
    n_arrays = header["arrays"]
    if type(n_arrays) is not int or len(archive.namelist()) != n_arrays + 1 or archive.namelist() != _names(n_arrays):
        raise ValueError
    return header


def _layout(archive, info):
    """Shape, order and dtype of a stored array of numbers, which the file does hold, and the bytes before them."""
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > archive.start_dir:
        raise ValueError
    if not 0 <= info.header_offset < archive.start_dir:
        raise ValueError
    with archive.open(info) as member:
        shape, fortran, dtype = _HEADER_READERS[np.lib.format.read_magic(member)](member)
        if dtype.hasobject or member.tell() + dtype.itemsize * math.prod(shape) != info.file_size:
            raise ValueError
        return shape, fortran, dtype, member.tell()


def _array(archive, name):
    """A stored array of numbers; memory is allocated only if the file holds as many bytes."""
    info = archive.getinfo(name)
    _layout(archive, info)
    with archive.open(info) as member:
        return np.array(np.lib.format.read_array(member, allow_pickle=False), order="C", copy=None)


class StoredArray:
    """An array in an open file, of which parts can be read.

    Parameters
    ----------
    file : binary file
    place : int
        Of its first byte.
    shape : tuple of int
    dtype : dtype
    """

    def __init__(self, file, place, shape, dtype):
        self.file, self.place, self.shape, self.dtype = file, place, shape, dtype

    def read(self, start=None, stop=None):
        """Entries [start, stop) in C order, or without them all in their shape: a new array."""
        whole, size = start is None, math.prod(self.shape)
        first, last = (0, size) if whole else (start, stop)
        if not 0 <= first <= last <= size:
            raise ValueError(f"entries [{first}, {last}) are not in an array of {size}")
        part = np.empty(last - first, self.dtype)
        self.file.seek(self.place + first * self.dtype.itemsize)
        if part.size and self.file.readinto(memoryview(part).cast("B")) != part.nbytes:
            raise ValueError("the file has become shorter")
        return part.reshape(self.shape) if whole else part


def _stored(archive, name):
    """An array of numbers that stays in the file; one in another order than C is read."""
    info = archive.getinfo(name)
    shape, fortran, dtype, npy_header = _layout(archive, info)
    if fortran and len(shape) > 1:
        return _array(archive, name)
    archive.fp.seek(info.header_offset)
    local = archive.fp.read(_LOCAL_HEADER.size)
    *_, name_length, extra_length = _LOCAL_HEADER.unpack(local)
    place = info.header_offset + _LOCAL_HEADER.size + name_length + extra_length + npy_header
    return StoredArray(archive.fp, place, shape, dtype)


# Of a member of an archive; its last two numbers are the lengths of the name and of what follows before the contents.
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")


_HEADER_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
