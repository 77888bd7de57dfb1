"""An optimizer whose state is spread over the ranks, for parameters that all of them have."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import _core, _validation
from .._memory import Held, base_view
from .._types import Gradient, StrPath, Structure, in_structure
from ..optimizers import Optimizer
from . import _saving
from ._agreement import Call, agree_all_same
from ._collectives import gather_into, gathered_records
from ._layout import first_entry, granule, shared_bounds
from ._local import Sharded, agree_stats, check_class, made_alike, rates_note, same_rates
from ._reduction import divide, scattered_sum
from ._vectors import Vector


class ShardedOptimizer(Sharded):
    """An optimizer of parameters that every rank has, of whose state each rank keeps a part.

    A step adds the gradients of all ranks, updates on each rank the part that is its own, and gathers the parameters:
    after it they are the same on all ranks, to the last bit, and the same as after one optimizer's step with the
    reduced gradient. Every method but `learning_rate`, `groups` and the counters is a collective call: all ranks make
    it.

    Parameters
    ----------
    cls : type
        The class of the optimizer, such as `fastopt.AdamW`: one whose entries or rows do not depend on each other.
    params : ndarray, or list or dict of ndarrays
        As for the optimizer. The same on all ranks; every step updates them in place.
    comm : mpi4py.MPI.Comm
        The communicator, or an object with the same buffer methods.
    reduce : {"mean", "sum"}, default="mean"
        What the gradients of the ranks become.
    **hyper
        Hyper-parameters of the optimizer, the same on all ranks.

    Raises
    ------
    TypeError, ValueError
        On all ranks, when something does not fit, or differs between ranks: the message says what, and where.
    RankError
        When another rank failed: the message has its reason.

    Notes
    -----
    Each rank keeps consecutive entries, in multiples of 4,096: about one part in ``comm.Get_size()`` of the state. A
    gradient is sent once and the parameters once. With `clip_norm` and `nonfinite` all ranks go by the gradient as a
    whole.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> from fastopt.distributed import ShardedOptimizer
    >>> from mpi4py import MPI  # doctest: +SKIP
    >>> w = np.zeros(100_000)
    >>> opt = ShardedOptimizer(fastopt.AdamW, w, MPI.COMM_WORLD, learning_rate=0.01)  # doctest: +SKIP
    >>> opt.step(gradient_of_my_samples(w))  # doctest: +SKIP
    """

    __slots__ = ("_comm", "_divisor", "_held", "_keys", "_slices", "_vectors")

    def __init__(self, cls: type[Optimizer], params: Structure, comm: Any, *, reduce: str = "mean", **hyper: Any):
        self._comm = _validation.distributed.communicator(comm)
        with Call(comm) as call:
            with call.together():
                _validation.distributed.reduction(reduce)
                check_class(cls)
                arrays, self._keys = _validation.parameters.flat_parameters(params, cls.__name__)
            given = {"cls": cls, "reduce": reduce, "the keys of `params`": self._keys}
            agree_all_same(comm, given | {"params": [(array.dtype.name, array.shape) for array in arrays]})
            names = [_validation.parameters.expression("params", self._keys, k) for k in range(len(arrays))]
            agree_all_same(comm, dict(zip(names, arrays, strict=True)))
            self._divisor = comm.Get_size() if reduce == "mean" else 1
            self._held = [Held(array) for array in arrays]
            by_rows = _core.takes_rows(cls.rule)
            widths = [math.prod(array.shape[1:]) if by_rows and array.ndim > 1 else 1 for array in arrays]
            with call.together():
                self._share(arrays, widths)
                parts = [_part(*each) for each in zip(arrays, self._slices, widths, strict=True)]
            self._local = made_alike(call, cls, in_structure(parts, self._keys), self._starts(), hyper)

    def _share(self, arrays, widths):
        """Say which entries of each array are this rank's; arrays of one dtype are one vector, and shared together."""
        n_ranks, rank = self._comm.Get_size(), self._comm.Get_rank()
        self._vectors, self._slices = [], [slice(0, 0)] * len(arrays)
        for dtype in sorted({array.dtype.name for array in arrays}):
            members = [k for k, array in enumerate(arrays) if array.dtype.name == dtype]
            sizes, granules = [arrays[k].size for k in members], [granule(max(widths[k], 1)) for k in members]
            bounds = shared_bounds(sizes, granules, n_ranks)
            for k, own in zip(members, bounds, strict=True):
                self._slices[k] = slice(int(own[rank]), int(own[rank + 1]))
            self._vectors.append(Vector(members, sizes, bounds.sum(axis=0), rank, dtype))

    def step(self, grad: Gradient) -> None:
        """Update the parameters of all ranks with the sum or the mean of their gradients.

        Parameters
        ----------
        grad : ndarray, or list or dict of ndarrays
            This rank's gradient of all parameters, dense. In a list or dict None counts as zeros; a parameter for which
            all ranks have None is left alone.

        Raises
        ------
        TypeError, ValueError
            When `grad` does not fit; nothing has changed on any rank then.
        FloatingPointError
            On all ranks, with ``nonfinite="raise"``, when an entry of the reduced gradient is NaN or infinite.
        RankError
            When another rank failed: the message has its reason.
        """
        with Call(self._comm) as call:
            with call.together() as block:
                params = self._arrays()
                grads = self._checked(grad)
                block.note = rates_note(self._local)
            same_rates(self._comm, self._local, block.notes)
            present = gathered_records(self._comm, np.array([each is not None for each in grads], np.uint8)).any(axis=0)
            reduced = self._reduced(grads, present)
            stats = agree_stats(call, self._local, reduced)
            before = self._local.step_count
            with call.together():
                self._local.step(reduced, stats=stats)
            if self._local.step_count != before:
                self._gather(params)

    def _arrays(self):
        """The parameters as vectors; they must still be where they were."""
        for k, held in enumerate(self._held):
            changed = held.now_and_before
            if changed is not None:
                name = _validation.parameters.label("params", self._keys, k)
                _validation.parameters.refuse_moved(name, "optimizer", *changed)
        return [base_view(held.array).reshape(-1) for held in self._held]

    def _checked(self, grad):
        """The gradients of this rank as vectors, each contiguous; None where there is none."""
        keys = self._keys
        grads = [grad] if keys is None else _validation.gradients.flat_gradients(grad, keys)
        found = []
        for k, (each, held) in enumerate(zip(grads, self._held, strict=True)):
            if each is not None or keys is None:
                each = _validation.distributed.dense_gradient(
                    _validation.parameters.label("grad", keys, k), each, held.array
                )
                each = np.ascontiguousarray(each).reshape(-1)
            found.append(each)
        return found

    def _reduced(self, grads, present):
        """What the local optimizer steps with: this rank's part of the gradients of all."""
        parts = [None] * len(grads)
        for vector in self._vectors:
            total = scattered_sum(self._comm, [vector.joined(grads)], vector.bounds, vector.received)
            divide(total, self._divisor)
            at = 0
            for k in vector.members:
                part = self._local._flat_params[k]
                if present[k]:
                    parts[k] = total[at : at + part.size].reshape(part.shape)
                at += part.size
        return in_structure(parts, self._keys)

    def _gather(self, arrays):
        """Write the parts of all ranks into vectors of all entries, which are this rank's own but for its part."""
        for vector in self._vectors:
            # A copy, as MPI receives elsewhere: where the sum was, which nobody needs any more.
            own = np.concatenate([arrays[k][self._slices[k]] for k in vector.members], out=vector.received[0])
            joined = vector.buffer(arrays)
            gather_into(self._comm, own, joined, np.diff(vector.bounds))
            vector.split(joined, arrays)

    def solution(self) -> Structure:
        """Return what to use after training, as `Optimizer.solution` does: the same on all ranks.

        Returns
        -------
        ndarray, or list or dict of ndarrays
            New arrays, in the structure of the parameters.
        """
        with Call(self._comm) as call:
            with call.together():
                whole = [array.copy() for array in self._arrays()]
                part = self._local.solution()
                parts = [part] if self._keys is None else _validation.gradients.flat_gradients(part, self._keys)
                for array, mine, each in zip(whole, self._slices, parts, strict=True):
                    array[mine] = each.reshape(-1)
            self._gather(whole)
        return in_structure(
            [array.reshape(shape) for array, shape in zip(whole, self._shapes(), strict=True)], self._keys
        )

    def save(self, path: StrPath) -> None:
        """Write parameters and state to a folder: each rank a file of its own, and at last what they are.

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
        _saving.save(self._comm, path, self._local, self._shapes(), self._starts())

    def load(self, path: StrPath) -> None:
        """Load parameters and state that `save` wrote, on any number of ranks; the next step has the same bits.

        Parameters
        ----------
        path : str or os.PathLike
            The folder. Each rank reads what it needs.

        Raises
        ------
        CheckpointError
            When the folder has no complete checkpoint, or a file of it is damaged.
        ValueError
            When it does not fit; nothing has changed on any rank then.
        """
        with Call(self._comm) as call:
            with call.together():
                params = self._arrays()
            _saving.load(call, path, self._local, self._shapes(), self._starts())
            self._gather(params)

    def _starts(self):
        return [first_entry(each) for each in self._slices]

    def _shapes(self):
        return [held.array.shape for held in self._held]

    @property
    def params(self) -> Structure:
        """The parameters: the caller's own arrays."""
        return in_structure([held.array for held in self._held], self._keys)

    @property
    def groups(self) -> Any:
        """Hyper-parameters of single arrays, as `Optimizer.groups`; to be set to the same on all ranks."""
        return self._local.groups

    def __repr__(self) -> str:
        rank, n_ranks = self._comm.Get_rank(), self._comm.Get_size()
        return f"<ShardedOptimizer, rank {rank} of {n_ranks}: {self._local!r}>"


def _part(array, mine, width):
    """This rank's entries of an array, as a vector, or as rows of a matrix."""
    flat = base_view(array).reshape(-1)[mine]
    return flat if width <= 1 else flat.reshape(-1, width)
