"""Open files that checkpoints are written to and read from."""

import io
import os

from .gradients import flat_like_parameters
from .parameters import expression
from .scalars import integer
from .text import shown

# Entries that are rounded together: FO_GROUP_ENTRIES of csrc/update/codes.h.
GROUP_ENTRIES = 256


def binary_file(name, value, method, mode):
    """Refuse what is neither a path nor an open file of bytes with this method."""
    if not callable(getattr(value, method, None)):
        raise TypeError(f"`{name}` must be a path or a binary file to {method}, got {type(value).__name__}.")
    if isinstance(value, io.TextIOBase):
        _refuse_text(name, mode)


def binary_contents(name, contents):
    """Refuse what a file gave that is no bytes."""
    if contents is None:
        raise BlockingIOError("`path` must be a file that waits for its contents, got one that does not.")
    if not isinstance(contents, (bytes, bytearray, memoryview)):
        _refuse_text(name, "rb")


def written_bytes(name, count, n):
    """Return how many of n bytes a file says to have taken; one that would block takes none."""
    if count is None:
        raise BlockingIOError(f"`{name}` must be a file that waits until it can be written to, got one that does not.")
    if not isinstance(count, int) or not 1 <= count <= n:
        raise OSError(f"`{name}` must be a file whose write() returns how much it has taken, got {shown(count)}.")
    return count


def part_of_optimizer(optimizer, cls, path):
    """Refuse what cannot be loaded in parts: other optimizers, and open files."""
    if not isinstance(optimizer, cls):
        raise TypeError(f"`starts` goes with a fastopt.Optimizer, got {type(optimizer).__name__}.")
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(f"`path` must be a path where `starts` is given, got {type(path).__name__}.")


def starts(given, optimizer, sizes):
    """Return the entries of saved arrays of these sizes with which those of an optimizer begin."""
    keys, params = optimizer._keys, optimizer._flat_params
    given = [given] if keys is None else flat_like_parameters("starts", given, keys, each="numbers")
    multiple = 1 if optimizer.state_dtype in (None, "float32") else GROUP_ENTRIES
    for k, (start, param, size) in enumerate(zip(given, params, sizes, strict=True)):
        name = expression("starts", keys, k)
        given[k] = start = integer(name, start, 0)
        if start + param.size > size:
            raise ValueError(f"`{name}` must be at most {size - param.size} for a part of {param.size}, got {start}.")
        if start % multiple != 0:
            raise ValueError(f"`{name}` must be a multiple of {multiple} with this `state_dtype`, got {start}.")
    return given


def _refuse_text(name, mode):
    raise TypeError(f"`{name}` must be a file of bytes, got a file of text; open it with mode {mode!r}.")
