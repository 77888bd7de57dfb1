"""The validation loss: a number for each epoch, of a function, an objective, or samples that no step has seen."""

from .._memory import read_only
from .._validation import held_out as validation
from .._validation.streams import is_stream
from ..objectives._base import Objective
from .batches import EVALUATION_SIZE, Batches, mean_over
from .streams import Stream


def validation_loss(given, fun, params, evaluate, batches):
    """What `validation` stands for, as a function of a vector that gives a float; None if it is None."""
    if given is None:
        return None
    if isinstance(given, Objective):
        validation.same_parameters(given, params.vector)
        loss = given
    else:
        loss = params.function(given) if callable(given) else _over_samples(given, fun, evaluate, batches)
    return lambda solution: validation.value(loss(read_only(solution)))


def _over_samples(given, fun, evaluate, batches):
    """The mean loss over held-out samples."""
    validation.no_single_value(given)
    if isinstance(fun, Objective):
        return validation.loss_over(fun, *validation.pair(given, fun))
    if batches.data is not None and is_stream(given):
        held_out = Stream(validation.opener(given), None, 0, None, batches.rng)
    else:
        arrays, n = validation.samples(given, batches.data)
        held_out = Batches(n, min(n, max(batches.size or 0, EVALUATION_SIZE)), arrays, batches.rng)
    return lambda x: mean_over(held_out.all_samples_in_order(), lambda batch: evaluate.value(x, batch))
