"""What ranks agree on: that none of them has failed, and that they were given the same.

A rank that raised on its own would leave the others waiting in the next collective call, for ever. So whatever may
fail on one rank is done between two calls of `agree`, or within `Together`, and contains no collective call itself.
"""

import hashlib
import traceback

import numpy as np

from .. import _validation
from ._collectives import gathered_numbers, gathered_texts

# What a rank has, the later the more important: a failure is reported before an interrupt, and that before an end.
NOTHING, END, INTERRUPT, FAILURE = range(4)


class RankError(RuntimeError):
    """Another rank failed; the message has its number and its reason.

    Attributes
    ----------
    rank : int
        The lowest one that failed.
    """

    def __init__(self, message, rank):
        super().__init__(message, rank)
        self.rank = rank

    def __str__(self):
        return self.args[0]


def agree(comm, error=None):
    """Raise on all ranks if one of them has an exception. A collective call: every rank makes it at the same place.

    Parameters
    ----------
    comm : communicator
    error : BaseException or None
        What happened on this rank.

    Raises
    ------
    BaseException
        `error` itself on the ranks that have one. On the others `StopIteration` if a rank has that, `KeyboardInterrupt`
        for an interrupt, and `RankError` for all else. Where ranks have different kinds, a failure counts before an
        interrupt, and an interrupt before `StopIteration`, on the ranks that have the lesser one, too.
    """
    kinds = gathered_numbers(comm, _kind(error))
    worst = kinds.max()
    if worst == NOTHING:
        return
    reasons = gathered_texts(comm, "" if error is None else _reason(error))
    if _kind(error) == worst:
        raise error
    rank = int(np.flatnonzero(kinds == worst)[0])
    raise _of_another(worst, rank, reasons[rank]) from error


class Together:
    """Make an exception of one rank within the block one of all ranks at its end. There are no collectives inside."""

    def __init__(self, comm):
        self._comm = comm

    def __enter__(self):
        return self

    def __exit__(self, kind, error, where):
        agree(self._comm, error)


def agree_same(comm, name, value):
    """Raise `ValueError` on all ranks unless they were given the same value of `name`, which the message shows.

    Arrays are compared by dtype, shape and bits, floats by their bits, functions by their names.
    """
    digests = gathered_texts(comm, hashlib.sha256(_identity(value).encode("utf-8", "surrogatepass")).hexdigest())
    different = [rank for rank, digest in enumerate(digests) if digest != digests[0]]
    if not different:
        return
    values = gathered_texts(comm, _validation.text.shown(value))
    first, rank = values[0], different[0]
    raise _validation.distributed.same_value(name, first, values[rank], rank)


def _kind(error):
    if error is None:
        return NOTHING
    if isinstance(error, StopIteration):
        return END
    return INTERRUPT if isinstance(error, KeyboardInterrupt) else FAILURE


def _reason(error):
    """Type and message of an exception, in one line as tracebacks end."""
    return " ".join("".join(traceback.format_exception_only(error)).split())


def _of_another(kind, rank, reason):
    """The exception of a rank for what another one has."""
    if kind == END:
        return StopIteration()
    if kind == INTERRUPT:
        return KeyboardInterrupt(f"rank {rank} was interrupted")
    return RankError(f"Rank {rank} failed: {reason}", rank)


def _identity(value):
    """A string that is the same for equal values only."""
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        digest = hashlib.sha256(np.ascontiguousarray(value)).hexdigest()
        return f"array {value.dtype.str} {value.shape} {digest}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_identity(key)}: {_identity(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(map(_identity, value)) + ")"
    if isinstance(value, np.generic):
        return _identity(value.item())
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    if type(value).__repr__ is object.__repr__:  # which has the address, another one in each process
        return f"{type(value).__module__}.{type(value).__qualname__}"
    return repr(value)
