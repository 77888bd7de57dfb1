"""What ranks agree on: that none of them has failed, and that they were given the same.

A rank that raised on its own would leave the others waiting in the next collective call, for ever. So whatever may
fail on one rank is done between two calls of `agree`, or within `Together`, and contains no collective call itself.
"""

import contextlib
import hashlib
import traceback

import numpy as np

from .. import _validation
from .._interrupts import DeferredInterrupt
from ._collectives import gathered_records, gathered_texts

# What a rank has, the later the more important: a failure is reported before an interrupt, and that before an end.
NOTHING, END, INTERRUPT, FAILURE = range(4)


class RankError(RuntimeError):
    """Another rank failed; the message has its number and its reason.

    Parameters
    ----------
    message : str
        What is said of the failure.
    rank : int
        The lowest rank that failed.

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


def agree(comm, error=None, note=0):
    """Raise on all ranks if one of them has an exception. A collective call: every rank makes it at the same place.

    Parameters
    ----------
    comm : communicator
    error : BaseException or None
        What happened on this rank.
    note : int
        A number of 64 bits that all ranks get to know.

    Returns
    -------
    ndarray of int64
        The notes, in the order of ranks.

    Raises
    ------
    BaseException
        `error` itself on the ranks that have one. On the others `StopIteration` if a rank has that, `KeyboardInterrupt`
        for an interrupt, and `RankError` for all else. Where ranks have different kinds, a failure counts before an
        interrupt, and an interrupt before `StopIteration`, on the ranks that have the lesser one, too.
    """
    kinds, notes = gathered_records(comm, np.array([_kind(error), note], np.int64)).T
    worst = kinds.max()
    if worst == NOTHING:
        return notes
    reasons = gathered_texts(comm, "" if error is None else _reason(error))
    if _kind(error) == worst:
        raise error
    rank = int(np.flatnonzero(kinds == worst)[0])
    raise _of_another(worst, rank, reasons[rank]) from error


class Together:
    """Make an exception of one rank within the block one of all ranks at its end. There are no collectives inside.

    What the block sets `note` to, a number of 64 bits, is among the `notes` of all ranks afterwards.

    Parameters
    ----------
    comm : communicator
    interrupts : DeferredInterrupt, optional
        Whose Ctrl-C, if one has come, is raised on all ranks at the end of the block, too.
    """

    def __init__(self, comm, interrupts=None):
        self._comm, self._interrupts = comm, interrupts
        self.note, self.notes = 0, None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, where):
        if error is None and self._interrupts is not None:
            error = self._interrupts.taken()
        self.notes = agree(self._comm, error, self.note)


class PatientInterrupt(DeferredInterrupt):
    """Ctrl-C that is put off, also where it is pressed again: in the middle of an exchange the others would wait."""

    def _note(self, number, frame):
        self.noted = True


class Call:
    """A call that every rank makes: between its blocks, where ranks wait for each other, Ctrl-C is put off.

    Parameters
    ----------
    comm : communicator
    """

    def __init__(self, comm):
        self.comm, self._interrupts, self._interrupted = comm, PatientInterrupt(True), None

    def __enter__(self):
        self._interrupts.__enter__()
        return self

    def __exit__(self, kind, error, where):
        self._interrupts.__exit__()
        if error is None:
            self._interrupts.check()
            if self._interrupted is not None:
                raise _of_another(INTERRUPT, self._interrupted, "")

    def together(self):
        """A block without collective calls, at whose end all ranks fail if one does."""
        return Together(self.comm, self._interrupts)

    @contextlib.contextmanager
    def change(self):
        """A block that changes what all ranks have, and does not stop halfway: Ctrl-C ends the call after."""
        with Together(self.comm) as block:
            yield
            block.note = int(self._interrupts.noted)
        if block.notes.any():
            self._interrupted = int(np.flatnonzero(block.notes)[0])


def agree_same(comm, name, value):
    """Raise `ValueError` on all ranks unless they were given the same value of `name`, which the message shows.

    Arrays are compared by dtype, shape and bits, floats by their bits, functions by their names.
    """
    agree_all_same(comm, {name: value})


def agree_all_same(comm, values):
    """The same for several values by name, the first of which that differs is named; the names are the same."""
    identities = [_identity(value).encode("utf-8", "surrogatepass") for value in values.values()]
    if _differs(comm, b"\0".join(identities)) is None:
        return
    for name, identity in zip(values, identities, strict=True):
        other = _differs(comm, identity)
        if other is not None:
            shown = gathered_texts(comm, _validation.text.shown(values[name]))
            raise _validation.distributed.same_value(name, shown[0], shown[other], other)


def _differs(comm, text):
    """The first rank that has other bytes than rank 0; None if all have the same."""
    digests = gathered_records(comm, np.frombuffer(hashlib.sha256(text).digest(), np.uint8))
    different = np.flatnonzero((digests != digests[0]).any(axis=1))
    return int(different[0]) if len(different) else None


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
