"""The validation loss: a number for each epoch, of a function, an objective, or samples that no step has seen."""

from typing import Any, NamedTuple

from .._memory import read_only
from .._validation import held_out as validation
from .._validation.streams import is_stream
from ..objectives._base import Objective
from .batches import EVALUATION_SIZE, mean_over
from .streams import Stream


class ValidationLoss(NamedTuple):
    """What a validation loss is made of, besides what the user gives for it.

    Attributes
    ----------
    fun : object
        The objective; a built-in one over the samples of all ranks.
    params : Parameters
    evaluate : Evaluator
    batches : BatchSource
    ranks : Alone or SharedRun
    """

    fun: Any
    params: Any
    evaluate: Any
    batches: Any
    ranks: Any

    def of(self, given):
        """What `validation` stands for, as a function of a vector that gives a float; None if it is None."""
        if given is None:
            return None
        if isinstance(given, Objective):
            loss = self.ranks.objective(given)
            validation.same_parameters(loss, self.params.vector)
        elif callable(given):
            function = self.params.function(given)
            return lambda solution: self.ranks.first(validation.value(function(read_only(solution))))
        else:
            loss = self.over_samples(given)
        return lambda solution: validation.value(loss(read_only(solution)))

    def over_samples(self, given):
        """The mean loss over held-out samples."""
        validation.no_single_value(given)
        if hasattr(self.fun, "_over"):
            return self.ranks.objective(validation.loss_over(self.fun, *validation.pair(given, self.fun)))
        if self.batches.data is not None and is_stream(given):
            held_out = Stream(validation.opener(given), None, 0, None, self.batches.rng)
        else:
            arrays, n = validation.samples(given, self.batches.data, least=not self.ranks.several)
            whole = self.ranks.whole(n)
            size = min(whole.total, max(self.batches.size or 0, EVALUATION_SIZE))
            held_out = whole.batches(size, arrays, self.batches.rng)
        return lambda x: mean_over(held_out.all_samples_in_order(), lambda batch: self.evaluate.value(x, batch))
