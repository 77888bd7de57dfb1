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
    parameter, default, interval : str or None, float or None, str or None
        The argument of the objective that `loss_parameter` stands for, its default, and the values that it may have.
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


CLASSIFICATION = {
    "log_loss": Loss(objectives.Logistic, objectives.Softmax, probability=expit),
    "hinge": Loss(objectives.Hinge, smooth=False, curvature=one),
    "squared_hinge": Loss(objectives.SquaredHinge),
}
REGRESSION = {
    "squared_error": Loss(objectives.LeastSquares),
    "huber": Loss(objectives.Huber, parameter="delta", default=1.0, interval="(0, inf)"),
    "poisson": Loss(objectives.Poisson, curvature=at_minimum, mean=np.exp, positive=True),
}
