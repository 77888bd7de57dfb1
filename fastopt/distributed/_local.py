"""The optimizer that each rank has of its own part, and what ranks agree on about it in each step."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from .. import _core, _validation
from ..optimizers import Optimizer
from ._agreement import agree_all_same
from ._collectives import gathered_records, gathered_texts


class Sharded:
    """What is known on all ranks of the optimizers that they have of their own parts, `_local`."""

    __slots__ = ("_local",)

    @property
    def step_count(self) -> int:
        """Number of completed steps."""
        return self._local.step_count

    @property
    def skipped_steps(self) -> int:
        """Number of steps that ``nonfinite="skip"`` left out."""
        return self._local.skipped_steps

    @property
    def last_grad_norm(self) -> float | None:
        """With `clip_norm`: Euclidean norm of the last gradient over all ranks, before scaling; else None."""
        return self._local.last_grad_norm

    @property
    def learning_rate(self) -> Any:
        """The learning rate, a number or a schedule. Can be set to a number, to the same on all ranks."""
        return self._local.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._local.learning_rate = value


def check_class(cls):
    """Refuse what is no class of optimizers whose entries, or rows, do not depend on each other."""
    _validation.distributed.optimizer_class(cls, Optimizer)
    if _core.couples_entries(cls.rule):
        _validation.distributed.refuse_coupled(cls.__name__)


def made_alike(call, cls, params, starts, hyper):
    """An optimizer of this rank's parts of arrays, with the same hyper-parameters on all ranks.

    Parameters
    ----------
    call : Call
    cls : type
        Of the optimizer.
    params : ndarray, or list or dict of ndarrays
    starts : list of int
        The entry of each whole array with which the part begins: the rounding of state in fewer bits goes by it.
    hyper : dict
    """
    with call.together():
        optimizer = cls(params, **hyper)
        optimizer._set_places(list(enumerate(starts)))
        if not all(_core.rule_slots(cls.rule, optimizer._values).values()):
            optimizer._initialise()  # once more, with the rounding of these places
        optimizer._rate_at = NextRates()
    agree_all_same(call.comm, {name: value for name, value in optimizer._values.items() if name != "num_threads"})
    return optimizer


def agree_stats(call, optimizer, grad):
    """Norm and finiteness of the gradient of all ranks; None if no one asks for them."""
    if optimizer.clip_norm is None and optimizer.nonfinite == "propagate":
        return None
    with call.together():
        mine = bytes(optimizer.gradient_stats(grad))
    records = gathered_records(call.comm, np.frombuffer(mine, np.uint8))
    return sum([_core.stats_of(record.tobytes()) for record in records], _core.GradientStats())


class NextRates:
    """The learning rates of the next step, which stand in for the schedules in the step itself.

    Schedules are the caller's code, which may raise and may count its calls: each is asked once, before anything has
    changed on any rank.
    """

    def __init__(self):
        self.rates = {}

    def ask(self, optimizer):
        """Ask all schedules."""
        t, at = optimizer.step_count, type(optimizer)._rate_at
        self.rates = {id(rate): at(optimizer, rate, t) if callable(rate) else rate for rate in optimizer._rates}

    def __call__(self, schedule, t):
        return self.rates[id(schedule)]

    def __repr__(self):
        return ", ".join(map(repr, self.rates.values()))


def rates_note(optimizer):
    """A number that ranks have in common if the learning rates of their next step, asked for here, are the same."""
    optimizer._rate_at.ask(optimizer)
    return int.from_bytes(hashlib.sha256(repr(optimizer._rate_at).encode()).digest()[:7])


def same_rates(comm, optimizer, notes):
    """Refuse learning rates that differ, as of schedules that depend on what a rank has seen."""
    other = np.flatnonzero(notes != notes[0])
    if len(other):
        rates = gathered_texts(comm, repr(optimizer._rate_at))
        raise _validation.distributed.same_value("learning_rate", rates[0], rates[other[0]], int(other[0]))
