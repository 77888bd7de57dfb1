"""Averages of the iterates, kept in float64. Before the first update the answer is the parameters."""

import numpy as np

from .._validation import saved_runs


class Polyak:
    """The mean of the iterates since averaging began (Polyak & Juditsky 1992)."""

    def __init__(self, x):
        self.mean = np.zeros(x.shape)
        self.count = 0

    def update(self, x):
        self.count += 1
        with np.errstate(all="ignore"):  # parameters that have overflowed
            self.mean += (x - self.mean) / self.count

    def answer(self, x):
        """The average as an array like x."""
        with np.errstate(over="ignore"):
            return self.mean.astype(x.dtype) if self.count else x

    def snapshot(self):
        return {"mean": self.mean, "count": self.count}

    def schema(self, done):
        """The check of a snapshot, in a run that had come so far."""
        return saved_runs.record(
            {"mean": saved_runs.array(np.float64, self.mean.shape), "count": saved_runs.count(done.nit)}
        )

    def restore(self, saved):
        self.mean[...] = saved["mean"]
        self.count = saved["count"]


class Ema(Polyak):
    """The exponentially weighted mean ``m = decay * m + (1 - decay) * x``, divided by its weights' sum."""

    def __init__(self, x, decay):
        super().__init__(x)
        self.decay = decay

    def update(self, x):
        self.count += 1
        with np.errstate(all="ignore"):
            self.mean *= self.decay
            self.mean += np.multiply(x, 1.0 - self.decay, dtype=np.float64)

    def answer(self, x):
        return (self.mean / (1.0 - self.decay**self.count)).astype(x.dtype) if self.count else x
