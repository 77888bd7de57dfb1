"""Bounds on the parameters, kept by projection after every step."""

import numpy as np

from .._validation import bounds as validation


class Projection:
    """Lower and upper bounds, vectors like that of the parameters; infinite where there is none."""

    def __init__(self, low, high):
        self.low, self.high = low, high
        self.single_point = np.array_equal(low, high)

    @classmethod
    def of(cls, bounds, params):
        """From what the user gives for bounds of these parameters."""
        return cls(*validation.bounds(bounds, params.own, params.keys))

    def for_each(self, params):
        """The bounds of each array of the parameters."""
        if params.is_vector:
            return [self]
        return [Projection(*ends) for ends in zip(params.views(self.low), params.views(self.high), strict=True)]

    def project(self, x):
        np.clip(x, self.low, self.high, out=x)

    def start(self, x):
        """Move a starting point into the bounds, with SciPy's warning."""
        if np.any(x < self.low) or np.any(x > self.high):
            validation.warn_outside_bounds()
            self.project(x)
