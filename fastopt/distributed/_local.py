"""The optimizer that each rank has of its own part, and what ranks agree on about it in each step."""

import numpy as np

from .. import _core, _validation
from ..optimizers import Optimizer
from ._agreement import agree_all_same
from ._collectives import gathered_records


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


def step_together(call, optimizer, grad, stats):
    """A step of the optimizers of all ranks.

    Learning rates that differ, as of schedules that depend on what a rank has seen, are refused on all ranks.
    """
    with call.together() as block:
        optimizer.step(grad, stats=stats)
        block.note = np.float64(optimizer._last_rate).view(np.int64)
    other = np.flatnonzero(block.notes != block.notes[0])
    if len(other):
        rates = block.notes.view(np.float64)[[0, other[0]]].tolist()
        raise _validation.distributed.same_value("learning_rate", *map(repr, rates), int(other[0]))
