"""The ranks of one call: none leaves it by an exception that the others do not hear of."""

import contextlib

import numpy as np

from ._agreement import agree, agree_all_same
from ._collectives import gathered_numbers, gathered_records


class Ranks:
    """A communicator for one call, as a context of its body.

    What is computed on each rank may raise anywhere in the body. A rank that does so leaves the body and agrees on the
    exception; the others hear of it where they agree next, which is before each collective call, and leave, too.

    Parameters
    ----------
    comm : communicator

    Attributes
    ----------
    rank, size : int
        The number of this rank, and how many there are.
    interrupted : callable
        Whether Ctrl-C was pressed here, which ends the call on all ranks where they agree next.
    """

    def __init__(self, comm):
        self.comm, self.rank, self.size = comm, comm.Get_rank(), comm.Get_size()
        self.interrupted, self._agreed = _never, False

    def __enter__(self):
        return self

    def __exit__(self, kind, error, where):
        if self._agreed:
            return
        try:
            self.agree(error)
        except BaseException as raised:
            if raised is not error:  # else it goes on by itself
                raise

    def agree(self, error=None, interruptible=False):
        """Raise on all ranks if one of them has an exception or, where that may end the call, was interrupted."""
        if error is None and interruptible and self.interrupted():
            error = KeyboardInterrupt()
        try:
            agree(self.comm, error)
        except BaseException:
            self._agreed = True
            raise

    def tell(self, interrupt):
        """Agree on a KeyboardInterrupt, unless it is known already; a failure of another rank goes before."""
        if not self._agreed:
            with contextlib.suppress(KeyboardInterrupt):
                self.agree(interrupt)

    def all(self, flag):
        """Whether all ranks have a flag."""
        return not self.any(not flag)

    def same(self, **values):
        """Raise on all ranks unless they have the same values."""
        self.agree()
        try:
            agree_all_same(self.comm, values)
        except ValueError:
            self._agreed = True
            raise

    @contextlib.contextmanager
    def each(self):
        """What every rank does by itself; an exception of one is one of all at the end."""
        try:
            yield
        except BaseException as error:
            self.agree(error)
            raise
        self.agree()

    def any(self, flag):
        """Whether a rank has a flag."""
        self.agree()
        return bool(gathered_numbers(self.comm, int(flag)).any())

    def numbers(self, value):
        """A float of each rank."""
        self.agree()
        return gathered_records(self.comm, np.array([value], np.float64))[:, 0]

    def first(self, value):
        """The float of rank 0."""
        return float(self.numbers(value)[0])


def _never():
    return False
