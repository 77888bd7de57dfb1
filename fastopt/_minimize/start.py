"""Where a run started, and how its result compares: a run is a success only if it ends below its start."""

import math

import numpy as np

from .._memory import read_only
from .._validation import saved_runs
from .._validation.scalars import flag
from . import stopping
from .stopping import LossWatch

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
        zero, but for entries that bounds or an l1 penalty keep from moving.
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
    if type(gradient) is not np.ndarray:
        values = getattr(gradient, "rows", getattr(gradient, "data", None))  # of a RowSparse or a sparse array
        return isinstance(values, np.ndarray) and values.dtype == x.dtype and not values.any()
    if gradient.shape != x.shape or gradient.dtype.kind != "f":
        return False  # the step will say what is wrong with it
    falls_up, falls_down = sense * gradient < -slack, sense * gradient > slack
    if bounds is not None:
        falls_up, falls_down = falls_up & (x < bounds.high), falls_down & (x > bounds.low)
    return not (falls_up.any() or falls_down.any() or np.isnan(gradient).any())


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
            start, end = _mean_at(run, run.start.x), _mean_at(run, x)
    if _below(run, start, end):
        return status, start
    return stopping.NO_BETTER if start == end else stopping.RISEN, start


def is_returned(run, status, value):
    """Whether the start takes the place of the result, of a method that may return it: it is known to be better."""
    start = run.start.value
    known = start is not None and math.isfinite(start)
    if not (run.start.may_be_returned and known) or status in (stopping.FIXED, stopping.CALLBACK):
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
    watch = LossWatch(tol=None, patience=1)
    for loss in losses:
        watch.update(loss, math.inf)
    return losses[0], watch.smoothed
