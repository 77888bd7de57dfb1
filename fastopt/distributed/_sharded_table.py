"""A table whose rows, with their state, are spread over the ranks, such as one of embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _validation
from .._sparse.gradients import RowSparse
from .._types import Array, ArrayLike, DTypeLike, StrPath
from ..optimizers import Optimizer
from . import _saving
from ._agreement import Call, agree_all_same
from ._collectives import exchanged_counts, exchanged_rows
from ._layout import first_entry, rounding_granule, shared_bounds
from ._local import Sharded, agree_stats, check_class, made_alike, rates_note, same_rates

ROWS_AT_A_TIME = 65_536  # that a function of row numbers makes


class ShardedTable(Sharded):
    """A table whose rows are spread over the ranks, with an optimizer for them.

    Each rank owns consecutive rows and their state. `lookup` brings rows to where they are needed, and `step` brings
    their gradients to their owners. Both, `save` and `load` are collective calls: every rank makes them, with rows of
    its own, or none.

    Parameters
    ----------
    n_rows, width : int
        Shape of the table.
    cls : type
        The class of the optimizer, such as `fastopt.RowwiseAdagrad`: one whose rows do not depend on each other.
    comm : mpi4py.MPI.Comm
        The communicator, or an object with the same buffer methods.
    init : float or callable, default=0.0
        What rows are at first: a number, or a function that is given the numbers of k rows, an int64 array, and returns
        an array of shape (k, width). One that makes each row of its number alone gives the same table on any number of
        ranks.
    dtype : {"float32", "float64"}, default="float32"
        Of the table.
    **hyper
        Hyper-parameters of the optimizer, the same on all ranks; ``sparse="exact"`` or ``"deferred"`` among them.

    Raises
    ------
    TypeError, ValueError
        On all ranks, when something does not fit, or differs between ranks: the message says what, and where.
    RankError
        When another rank failed: the message has its reason.

    Notes
    -----
    Rows have the same bits for any number of ranks as long as the gradients come in the same order: those of equal rows
    are added in the order of ranks, and on each in the order of `rows`. With `clip_norm` all ranks scale by the same
    norm, whose last bits may depend on their number.

    Rows that are used often should not have neighbouring numbers, or their owner has all the work: number them in the
    order of a hash.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> from fastopt.distributed import ShardedTable
    >>> from mpi4py import MPI  # doctest: +SKIP
    >>> table = ShardedTable(10**9, 64, fastopt.RowwiseAdagrad, MPI.COMM_WORLD)  # doctest: +SKIP
    >>> vectors = table.lookup(rows_of_my_batch)  # doctest: +SKIP
    >>> table.step(rows_of_my_batch, gradients_of(vectors))  # doctest: +SKIP
    """

    __slots__ = ("_bounds", "_comm", "_shape", "_table")

    def __init__(
        self,
        n_rows: int,
        width: int,
        cls: type[Optimizer],
        comm: Any,
        *,
        init: Any = 0.0,
        dtype: DTypeLike = "float32",
        **hyper: Any,
    ):
        self._comm = _validation.distributed.communicator(comm)
        rank = comm.Get_rank()
        with Call(comm) as call:
            with call.together():
                check_class(cls)
                n_rows, width = self._shape = _validation.distributed.table_size(n_rows, width)
                dtype = _validation.distributed.table_dtype(dtype)
                init = _validation.distributed.first_rows(init)
            agree_all_same(comm, {"n_rows": n_rows, "width": width, "dtype": dtype, "init": init, "cls": cls})
            with call.together():
                whole_rows = rounding_granule(width, hyper.get("state_dtype"))
                self._bounds = shared_bounds([n_rows * width], [whole_rows], comm.Get_size())[0] // width
                self._table = _made(init, range(*map(int, self._bounds[rank : rank + 2])), width, dtype)
            self._local = made_alike(call, cls, self._table, self._starts(), hyper)

    @property
    def n_local_rows(self) -> int:
        """Number of rows that this rank owns."""
        return len(self.local_rows)

    @property
    def local_rows(self) -> range:
        """The rows that this rank owns."""
        return range(*map(int, self._bounds[self._comm.Get_rank() :][:2]))

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the whole table."""
        return self._shape

    def lookup(self, rows: ArrayLike) -> Array:
        """Return rows of the table, wherever they are.

        Parameters
        ----------
        rows : array_like of int, shape (k,)
            Their numbers, in any order and as often as they are needed. Each rank passes its own.

        Returns
        -------
        ndarray, shape (k, width)
            A new array.

        Raises
        ------
        TypeError, IndexError
            When `rows` does not fit. `RankError` on the other ranks.
        """
        with Call(self._comm) as call:
            with call.together():
                rows = _validation.distributed.table_rows(rows, self._shape[0])
                order, counts = self._by_owner(rows)
                asked = rows[order]
            wanted, given = self._sent(asked, counts)
            with call.together():
                own = self._local.gather(wanted)
            found = exchanged_rows(self._comm, own, given, counts)
            with call.together():
                ordered = np.empty_like(found)
                ordered[order] = found
        return ordered

    def step(self, rows: ArrayLike, grads: Array) -> None:
        """Update rows of the table with gradients, which are summed over all ranks: one step.

        Parameters
        ----------
        rows : array_like of int, shape (k,)
            Numbers of rows, which may repeat. Each rank passes its own, or none.
        grads : ndarray, shape (k, width)
            Their gradients, with the dtype of the table. Those of equal rows are added in the order of ranks, and on
            each in the order of `rows`.

        Raises
        ------
        TypeError, ValueError, IndexError
            When `rows` or `grads` do not fit; nothing has changed on any rank then. `RankError` on the other ranks.
        FloatingPointError
            On all ranks, with ``nonfinite="raise"``, when an entry of a gradient is NaN or infinite.
        """
        with Call(self._comm) as call:
            with call.together() as block:
                rows = _validation.distributed.table_rows(rows, self._shape[0])
                grads = _validation.distributed.table_gradients(grads, len(rows), self._shape[1], self._table.dtype)
                order, counts = self._by_owner(rows)
                rows, grads = rows[order], grads[order]
                block.note = rates_note(self._local)
            same_rates(self._comm, self._local, block.notes)
            index, received = self._sent(rows, counts)
            values = exchanged_rows(self._comm, grads, counts, received)
            with call.together():
                grad = RowSparse(index, values)
                if self._local.clip_norm is not None or self._local.nonfinite != "propagate":
                    grad = grad.coalesced()
            stats = agree_stats(call, self._local, grad, [grads])
            with call.change():
                self._local.step(grad, stats=stats)

    def _by_owner(self, rows):
        """An order in which rows are sorted by their owner, and otherwise as they were; how many each owner has."""
        owner = np.searchsorted(self._bounds[1:-1], rows, side="right")
        return np.argsort(owner, kind="stable"), np.bincount(owner, minlength=self._comm.Get_size())

    def _sent(self, rows, counts):
        """Numbers of own rows, counted from the first of them, that the ranks have sent; how many each has."""
        received = exchanged_counts(self._comm, counts)
        return exchanged_rows(self._comm, rows, counts, received) - self.local_rows.start, received

    def _starts(self):
        return [first_entry(self.local_rows) * self._shape[1]]

    def save(self, path: StrPath) -> None:
        """Write rows and state to a folder: each rank a file of its own, and at last what they are.

        Parameters
        ----------
        path : str or os.PathLike
            The folder, on a file system that all ranks share; made if there is none. A checkpoint that is in it stays
            valid until the new one is complete.

        Raises
        ------
        OSError
            On the rank that cannot write; `RankError` on the others. The former checkpoint is still there.
        """
        _saving.save(self._comm, path, self._local, [self._shape], self._starts())

    def load(self, path: StrPath) -> None:
        """Load rows and state that `save` wrote, on any number of ranks; the next step has the same bits.

        Parameters
        ----------
        path : str or os.PathLike
            The folder. Each rank reads what it needs.

        Raises
        ------
        CheckpointError
            When a file that the checkpoint consists of is missing or damaged.
        ValueError
            When it does not fit.
        OSError
            When there is no checkpoint, or a file cannot be read.
        RankError
            When another rank failed. With any of these nothing has changed on any rank.
        """
        with Call(self._comm) as call:
            _saving.load(call, path, self._local, [self._shape], self._starts())

    def __repr__(self) -> str:
        rank, n_ranks = self._comm.Get_rank(), self._comm.Get_size()
        return f"<ShardedTable of shape {self._shape}, rank {rank} of {n_ranks}: {self._local!r}>"


def _made(init, rows, width, dtype):
    """The first values of some consecutive rows."""
    table = np.empty((len(rows), width), dtype)
    if not callable(init):
        table[...] = init
        return table
    for start in range(0, len(rows), ROWS_AT_A_TIME):
        numbers = np.arange(rows.start + start, min(rows.start + start + ROWS_AT_A_TIME, rows.stop))
        made = init(numbers)
        table[start : start + len(numbers)] = _validation.distributed.made_rows(made, (len(numbers), width), dtype)
    return table
