"""The solution of a run, and the value and the gradient there."""

import copy
import math

import numpy as np

from .._memory import read_only
from . import stopping
from .batches import mean_over
from .stopping import BUDGET, Stop


class EndedRun:
    """The part of a run that looks at its solution, in the attributes of `Run`."""

    def solution(self):
        """The parameters, or what the optimizer has for a solution instead; rounding must not take it out of bounds."""
        if self.overflowed or not self.optimizer._reads_off:
            return self.x
        solution = self.params.flat(self.optimizer.solution())
        if self.bounds is not None:
            self.bounds.project(solution)
        return solution

    def is_finite(self, solution):
        """Whether neither the parameters nor the solution that is made of them have overflowed."""
        return bool(np.isfinite(self.x).all() and (solution is self.x or np.isfinite(solution).all()))

    def answer(self, solution):
        """The solution, or the average of the parameters; not the average if parameters that overflowed are in it."""
        if self.average is None:
            return solution
        average = self.average.answer(self.x)
        return average if np.isfinite(average).all() else self.x

    def evaluated(self, x, status):
        """Value and gradient at the result, and the status: failure where the value is not finite.

        A run without a single iteration ends with its gradient at the start, and may see there that it had no need of
        any.
        """
        view = self.view if x is self.x else read_only(x)
        gradient = copy.deepcopy(self.last_gradient)  # the objective may fill the same arrays again
        try:
            value, gradient = self.at_end(view, gradient, status)
            finite = math.isfinite(value)
        except Stop:  # finite differences: the function is not finite at a neighbouring point
            value, finite = self.evaluate.value(view, ()), False
        if status in stopping.REGULAR and not finite:
            status = stopping.NONFINITE_LOSS
        elif status == BUDGET and self.nit == 0 and self.leads_nowhere((), value, gradient):
            self.start.stationary, status = True, stopping.CONVERGED
        return value, gradient, status

    def at_end(self, x, last_gradient, status):
        """Value at the result, over all samples if there are any; and the gradient there, or the last one of a step."""
        if self.batches.n_samples is None and status in stopping.RESUMABLE:
            value, gradient = self.evaluate.at_end(x, last_gradient)
            if gradient is last_gradient:
                return value, gradient
            return value, copy.deepcopy(self.as_gradient(gradient, self.own))
        return self.mean_over_all(x), last_gradient

    def mean_over_all(self, x):
        """The objective at x, over all samples if there are any; if there are none any more, the latest loss."""
        mean = mean_over(self.batches.all_samples_in_order(), lambda batch: self.evaluate.value(x, batch))
        return self.history.latest_loss() if self.batches.used_up and math.isnan(mean) else mean
