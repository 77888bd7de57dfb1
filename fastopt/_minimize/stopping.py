"""Why a run ends: the statuses with their messages, and the stopping rule."""

import math

from .._validation import saved_runs

CONVERGED, BUDGET, NONFINITE_LOSS, NONFINITE_GRADIENT, NONFINITE_PARAMETERS, FIXED, CALLBACK = 0, 1, 2, 3, 4, 5, 99

# A run that ended like this may be resumed, with a larger budget for example.
RESUMABLE = (CONVERGED, BUDGET, FIXED, CALLBACK)

REMEDY = "Try a smaller `learning_rate`, `clip_norm` or `clip_value`, or scale the data."
MESSAGES = {
    CONVERGED: "Optimization terminated successfully.",
    BUDGET: "Maximum number of {unit} has been reached.",
    NONFINITE_LOSS: f"The objective became NaN or infinite in iteration {{nit}}. {REMEDY}",
    NONFINITE_GRADIENT: f"The gradient became NaN or infinite in iteration {{nit}}. {REMEDY}",
    NONFINITE_PARAMETERS: f"The parameters overflowed in iteration {{nit}}. {REMEDY}",
    FIXED: "All parameters are fixed by `bounds`.",
    CALLBACK: "`{by}` raised `StopIteration`.",
}


class Stop(Exception):
    """Ends the loop with one of the statuses; `by` is the argument whose function has raised StopIteration."""

    def __init__(self, status, by=None):
        super().__init__(status)
        self.status, self.by = status, by


class LossWatch:
    """The stopping rule: ends a run when the noisy losses of epochs make no progress.

    The loss of an epoch is the mean over its iterations, each weighted with its samples. It is smoothed as
    ``s = 0.7 * s + 0.3 * loss``, and counts as progress if it is below the best so far by more than
    ``tol * max(1, |best|)``, as in L-BFGS-B. After `patience` epochs in a row without progress the run has converged.
    """

    WEIGHT = 0.3

    def __init__(self, tol, patience):
        self.tol, self.patience = tol, patience
        self.smoothed, self.best, self.without_progress = None, math.inf, 0

    def update(self, loss):
        """Take the loss of an epoch; one that is infinite or NaN, as a validation loss may be, is no progress."""
        if not loss < math.inf:
            self.without_progress += 1
            return
        before = loss if self.smoothed is None else self.smoothed
        self.smoothed = (1 - self.WEIGHT) * before + self.WEIGHT * loss
        margin = self.tol * max(1.0, abs(self.best)) if math.isfinite(self.best) else 0.0
        if self.best - self.smoothed > margin:
            self.best, self.without_progress = self.smoothed, 0
        else:
            self.without_progress += 1

    @property
    def over(self):
        return self.without_progress >= self.patience

    def snapshot(self):
        return {"smoothed": self.smoothed, "best": self.best, "without_progress": self.without_progress}

    @staticmethod
    def schema(done):
        """The check of a snapshot, in a run that had come so far."""
        return saved_runs.record(
            {
                "smoothed": saved_runs.optional(saved_runs.number_or_nan()),
                "best": saved_runs.number(),
                "without_progress": saved_runs.count(done.nepoch),
            }
        )

    def restore(self, saved):
        self.smoothed, self.best, self.without_progress = (
            saved[key] for key in ("smoothed", "best", "without_progress")
        )
