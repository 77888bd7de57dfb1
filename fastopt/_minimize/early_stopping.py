"""Early stopping: ends a run by its validation loss."""

import math

from .._validation import saved_runs


class EarlyStopping:
    """The stopping rule of a run with a validation loss.

    A validation loss is progress if it is below the best so far by more than ``tol * max(1, |best|)``. It is not
    smoothed: it is over all held-out samples, and a rise is what the rule is for. NaN and infinity are no progress.
    """

    def __init__(self, tol, patience):
        self.tol, self.patience = tol, patience
        self.best, self.without_progress = math.inf, 0

    def update(self, loss):
        """Take the validation loss of an epoch."""
        margin = self.tol * max(1.0, abs(self.best)) if math.isfinite(self.best) else 0.0
        if self.best - loss > margin:
            self.best, self.without_progress = loss, 0
        else:
            self.without_progress += 1

    @property
    def over(self):
        """Whether there were `patience` epochs in a row without progress."""
        return self.without_progress >= self.patience

    def snapshot(self):
        return {"best": self.best, "without_progress": self.without_progress}

    @staticmethod
    def schema(done):
        """The check of a snapshot, in a run that had come so far."""
        return saved_runs.record({"best": saved_runs.number(), "without_progress": saved_runs.count(done.nepoch)})

    def restore(self, saved):
        self.best, self.without_progress = saved["best"], saved["without_progress"]
