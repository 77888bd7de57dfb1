"""The losses of the estimators: one row each."""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

from .. import objectives


class Loss(NamedTuple):
    """What an estimator has to know of a loss.

    Attributes
    ----------
    objective : type
        The class in `fastopt.objectives`.
    multinomial : type or None
        That of more than two classes at once; None for one against the rest.
    smooth : bool
        Whether it has a derivative everywhere.
    curvature : callable or None
        Of the targets: stands for the largest second derivative where there is none, to make a learning rate of.
    probability : callable or None
        The probability of the second of two classes, of the margin.
    mean : callable or None
        The prediction, of the margin; None for the margin itself.
    positive : bool
        Whether targets must not be negative.
    parameter, interval : str or None
        The argument of the objective that `loss_parameter` stands for, and the values that it may have.
    default : callable or None
        Of a target and its weights: what stands for None.
    """

    objective: type
    multinomial: Any = None
    smooth: bool = True
    curvature: Any = None
    probability: Any = None
    mean: Any = None
    positive: bool = False
    parameter: Any = None
    default: Any = None
    interval: Any = None

    def curvatures(self, y):
        """The largest second derivative by the margin, or what stands for it: a number, or one for each target."""
        return self.objective.curvature if self.curvature is None else self.curvature(y)


def one(y):
    """The curvature that is assumed of a loss with slopes of up to 1."""
    return 1.0


def at_minimum(y):
    """The curvature of ``exp(z) - y z`` where it is least, and no less than at z = 0."""
    return np.maximum(1.0, y)


def fifth_of_deviation(y, weights):
    """A fifth of the deviation of y, by the median of distances from the median: outliers do not count.

    Where more than half of y is one number, by the mean distance.
    """
    distances = np.abs(y - _median(y, weights))
    deviation = 1.4826 * _median(distances, weights) or np.average(distances, weights=weights) or 1.0
    return float(deviation) / 5


def _median(y, weights):
    """The smallest value up to which there is half of the weight."""
    order = np.argsort(y)
    sums = np.cumsum(np.ones(len(y)) if weights is None else weights[order], dtype=np.float64)
    return y[order[np.searchsorted(sums, sums[-1] / 2)]]


CLASSIFICATION = {
    "log_loss": Loss(objectives.Logistic, objectives.Softmax, probability=expit),
    "hinge": Loss(objectives.Hinge, smooth=False, curvature=one),
    "squared_hinge": Loss(objectives.SquaredHinge),
}
REGRESSION = {
    "squared_error": Loss(objectives.LeastSquares),
    "huber": Loss(objectives.Huber, parameter="delta", default=fifth_of_deviation, interval="(0, inf)"),
    "poisson": Loss(objectives.Poisson, curvature=at_minimum, mean=np.exp, positive=True),
}
