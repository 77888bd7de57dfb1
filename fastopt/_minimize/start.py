"""Where a run started, and how its result compares: a run is a success only if it ends below its start."""

import copy
import functools
import math

import numpy as np

from .._memory import read_only
from .._validation import saved_runs
from .._validation.scalars import flag
from . import stopping
from .stopping import Stop, smooth

# Most evaluations at either end of a function with noise.
MOST_EVALUATIONS = 100


class Start:
    """The start of a run.

    Attributes
    ----------
    x : ndarray or None
        A copy of the parameters, where they may be returned, or are evaluated again at the end.
    may_be_returned : bool
        Whether the method returns them in the place of a result that is no better.
    value : float or None
        The objective there, over all samples if there are any; None until it is known. It may be NaN or infinite.
    stationary : bool
        Whether the run has ended there, because no direction leads downhill to first order: the gradient is exactly
        zero, but for entries that bounds or an l1 penalty keep from moving, or but for the errors of differences.
    """

    def __init__(self, x=None, may_be_returned=False):
        self.x, self.may_be_returned = x, may_be_returned
        self.value, self.stationary = None, False

    def snapshot(self):
        return {"x": self.x, "value": self.value, "stationary": self.stationary}

    def schema(self, done):
        """The check of a snapshot, in a run that had come so far."""
        x = saved_runs.nothing if self.x is None else saved_runs.array(self.x.dtype, self.x.shape)
        value, stationary = saved_runs.number_or_nan(), saved_runs.not_set
        if done.nit == 0:
            value, stationary = saved_runs.optional(value), flag
        return saved_runs.record({"x": x, "value": value, "stationary": stationary})

    def restore(self, saved):
        self.x, self.value, self.stationary = (saved[name] for name in ("x", "value", "stationary"))


# --- stationary points -----------------------------------------------------------------------------------


def is_stationary(x, gradient, bounds, sense, slack=0.0):
    """Whether this gradient leads nowhere downhill from x; with ``sense=-1`` uphill.

    `slack` is what the absolute value of an entry of the gradient must exceed before the entry moves: an array, or 0.
    """
    if gradient is None:
        return True  # of an array that stays as it is
    if type(gradient) is not np.ndarray:
        values = getattr(gradient, "rows", getattr(gradient, "data", None))  # of a RowSparse or a sparse array
        return isinstance(values, np.ndarray) and values.dtype == x.dtype and not values.any()
    if gradient.shape != x.shape or gradient.dtype.kind != "f":
        return False  # the step will say what is wrong with it
    moves = ~(np.abs(gradient) <= slack)  # so do entries that are NaN
    if bounds is not None and moves.any():
        falls_up, falls_down = sense * gradient < 0, sense * gradient > 0
        moves &= ~(falls_up & (x >= bounds.high) | falls_down & (x <= bounds.low))
    return not moves.any()


class StartedRun:
    """The part of a run that looks at its start, in the attributes of `Run`."""

    def evaluate_start(self):
        """The objective at the start, over all samples, unless the first iteration gives just that."""
        if not (self.batches.all_at_once and self.evaluate.at_x):
            self.start.value = self.mean_over_all(self.view)

    def look_at_start(self, batch, value, gradient):
        """Take what the first iteration has found; if the start is stationary, end the run before its first step."""
        if self.start.value is None:
            self.start.value = value
        if not self.leads_nowhere(batch, value, gradient):
            return gradient
        gradient = copy.deepcopy(gradient)  # the objective may fill the same arrays again
        if self.stays_stationary(batch, value):
            self.start.stationary, self.last_gradient = True, gradient
            raise Stop(stopping.CONVERGED)
        return gradient

    def stays_stationary(self, batch, value):
        """Whether the objective gives the same again, over all samples: a random batch may be flat by chance."""
        if not self.evaluate.at_x or self.batches.read_once:
            return False
        if not self.batches.all_at_once:
            batches = (each for each, _ in self.batches.all_samples_in_order())
            return all(self.leads_nowhere(each, *self.evaluate_on(each)) for each in batches)
        again, gradient = self.evaluate_on(batch)
        return again == value and self.leads_nowhere(batch, again, gradient)

    def leads_nowhere(self, batch, value, gradient):
        """Whether no direction leads downhill, as far as this gradient and its errors show."""
        if gradient is None:
            return False
        return self.stationary_for(gradient) or self.evaluate.is_minimum(
            self.view, batch, value, self.sense, self.bounds
        )

    def stationary_for(self, gradient):
        """Whether this gradient leads nowhere downhill from x."""
        gradients = self.params.each_of(gradient)
        projections = self.projections or [None] * len(gradients)
        parts = zip(self.params.own, gradients, projections, strict=True)
        return all(is_stationary(*part, self.sense) for part in parts)

    def loss_at_start(self):
        """What epochs are compared with: the start, or the first epoch where a single value may be mere noise."""
        start = self.sense * self.start.value
        if self.batches.n_samples is not None:
            return start
        return max(start, self.sense * self.history.columns["fun"][0])


# --- the verdict -----------------------------------------------------------------------------------------


def verdict(run, status, x, value):
    """Compare the result of a run, and the objective there, with the start.

    Returns the status, which is another one where the result is not below the start, and the value at the start.
    """
    start, end = run.start.value, value
    if run.start.stationary or run.nit == 0 or status not in (stopping.CONVERGED, stopping.BUDGET):
        return status, start
    if run.batches.read_once:  # of which more is known now than at the start
        start = run.start.value = run.mean_over_all(read_only(run.start.x))
    smoothed = _smoothed(run) if run.batches.n_samples is None else None
    if smoothed is not None and _below(run, *smoothed) != _below(run, start, end):
        if run.evaluate.value(read_only(x), ()) != value:  # noise: another value at the same point
            if run.start.x is None:  # not known, in a run that a former version began
                start, end = smoothed
            else:
                start, end = _mean_at(run, run.start.x), _mean_at(run, x)
    if _below(run, start, end):
        return status, start
    return stopping.NO_BETTER if start == end else stopping.RISEN, start


def is_returned(run, status, value):
    """Whether the start takes the place of the result, of a method that may return it: it is known to be better."""
    start = run.start.value
    known = run.start.x is not None and start is not None and math.isfinite(start)
    if not (run.start.may_be_returned and known) or status in (stopping.FIXED, stopping.CALLBACK):
        return False
    if status in (stopping.CONVERGED, stopping.BUDGET):  # the verdict, which may be by more than these two values
        return False
    return status == stopping.RISEN or not run.sense * value <= run.sense * start


def _below(run, start, end):
    """Whether a run has gone downhill, or uphill if that was asked for; everything is better than NaN."""
    return math.isnan(start) or run.sense * end < run.sense * start


def _mean_at(run, x):
    """The mean of evaluations at one point: at both ends together these are a tenth of those of the run, or 200."""
    n = max(min(run.nit // 20, MOST_EVALUATIONS), 1)
    return sum(run.evaluate.value(read_only(x), ()) for _ in range(n)) / n


def _smoothed(run):
    """The loss of the first epoch, and the smoothed loss of that of the result; None if there is only one."""
    losses = run.history.columns["fun"][: run.nepoch]
    if len(losses) < 2:
        return None
    if run.best_x is not None:
        monitored = losses if run.validation is None else run.history.columns["validation"]
        losses = losses[: monitored.index(run.best_loss) + 1]
    return losses[0], functools.reduce(smooth, losses, math.nan)
