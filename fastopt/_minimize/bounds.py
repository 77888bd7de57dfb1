"""Bounds on the parameters, kept by projection after every step."""

import numpy as np

from .._validation import bounds as validation


class Projection:
    """Lower and upper bounds, arrays like the parameters; infinite where there is none."""

    def __init__(self, low, high):
        self.low, self.high = low, high
        self.single_point = np.array_equal(low, high)

    @classmethod
    def of(cls, bounds, x):
        """From what SciPy takes for bounds: a `Bounds` object, or a (low, high) pair per parameter, None for none."""
        return cls(*validation.bounds(bounds, x))

    def project(self, x):
        np.clip(x, self.low, self.high, out=x)

    def start(self, x):
        """Move a starting point into the bounds, with SciPy's warning."""
        if np.any(x < self.low) or np.any(x > self.high):
            validation.warn_outside_bounds()
            self.project(x)
