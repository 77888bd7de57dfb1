"""The losses of the estimators: one row each."""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

from .. import objectives
from .._validation.labels import tweedie_power
from .._validation.scalars import real


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
        Of targets and the loss's number: stands for the largest second derivative where there is none, to make a
        learning rate of.
    probabilities : callable or None
        Those of the classes, of the margins.
    mean : callable or None
        The prediction, of the margin; None for the margin itself.
    domain : callable or None
        Of the loss's number: the interval that targets must be in, or None.
    number : Number or None
        The number that the loss has, if it has one.
    in_units_of_targets : bool
        Whether margins have the units of the targets.
    """

    objective: type
    multinomial: Any = None
    smooth: bool = True
    curvature: Any = None
    probabilities: Any = None
    mean: Any = None
    domain: Any = None
    number: Any = None
    in_units_of_targets: bool = False

    def curvatures(self, y, number):
        """The largest second derivative by the margin, or what stands for it: a number, or one for each target."""
        return self.objective.curvature if self.curvature is None else self.curvature(y, number)


class Number(NamedTuple):
    """The number that a loss has.

    Attributes
    ----------
    parameter, argument : str
        What it is called as a parameter of the estimator, and as an argument of the objective.
    check : callable
        Of name and value, returns the value.
    default : float, callable or None
        What stands for None: a number, or a function of a target and its weights.
    """

    parameter: str
    argument: str
    check: Any
    default: Any = None

    def given(self, estimator):
        """The number that an estimator has been given, checked; None if it is to be made from the targets."""
        value = getattr(estimator, self.parameter)
        if value is not None or self.default is None:
            return self.check(self.parameter, value)
        return None if callable(self.default) else self.default


# --- probabilities ---------------------------------------------------------------------------------------


def softmax(margins):
    """Of the logistic loss: of two classes with one margin, or of all at once."""
    if margins.shape[1] == 1:
        second = expit(margins)
        return np.hstack([1 - second, second])
    exponentials = np.exp(margins - margins.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def clipped(margins):
    """Of the modified Huber loss (Zadrozny & Elkan 2002): (z + 1) / 2 in [0, 1], divided by the sum over the classes.

    Where that is 0 all classes have the same.
    """
    shares = (np.clip(margins, -1, 1) + 1) / 2
    if shares.shape[1] == 1:
        return np.hstack([1 - shares, shares])
    shares[~shares.any(axis=1)] = 1
    return shares / shares.sum(axis=1, keepdims=True)


# --- curvatures, domains and defaults --------------------------------------------------------------------


def one(y, number):
    """The curvature that is assumed of a loss with slopes of up to 1."""
    return 1.0


def of_deviance(y, power):
    """The second derivative of the deviance of a power with a logarithmic link: at the margin 0, and at log(y).

    The larger one, and no less than 1.
    """
    at_zero, at_minimum = (2 - power) + (power - 1) * y, np.abs(y) ** (2.0 - power)
    return np.maximum(1.0, np.maximum(at_zero, at_minimum))


def domain_of_deviance(power):
    return None if power <= 0 else "[0, inf)" if power < 2 else "(0, inf)"


def deviance(objective, power):
    """The row of a deviance with a logarithmic link, of a power that is fixed."""
    curvature, domain = lambda y, _: of_deviance(y, power), lambda _: domain_of_deviance(power)
    return Loss(objective, curvature=curvature, mean=np.exp, domain=domain)


def fifth_of_deviation(y, weights):
    """A fifth of the deviation of y, by the median of distances from the median: outliers do not count.

    Where more than half of y is one number, by the mean distance.
    """
    weights = None if weights is None or not weights.any() else weights
    distances = np.abs(y - _median(y, weights))
    deviation = 1.4826 * _median(distances, weights) or np.average(distances, weights=weights) or 1.0
    return float(deviation) / 5


def _median(y, weights):
    """The smallest value up to which there is half of the weight."""
    order = np.argsort(y)
    sums = np.cumsum(np.ones(len(y)) if weights is None else weights[order], dtype=np.float64)
    return y[order[np.searchsorted(sums, sums[-1] / 2)]]


# --- the tables ------------------------------------------------------------------------------------------

DELTA = Number("epsilon", "delta", lambda name, value: real(name, value, "(0, inf)"), fifth_of_deviation)
EPSILON = Number("epsilon", "epsilon", lambda name, value: real(name, value, "[0, inf)"), 0.1)
QUANTILE = Number("quantile", "q", lambda name, value: real(name, value, "(0, 1)"))
POWER = Number("power", "power", lambda _, value: tweedie_power(value))

CLASSIFICATION = {
    "log_loss": Loss(objectives.Logistic, objectives.Softmax, probabilities=softmax),
    "hinge": Loss(objectives.Hinge, smooth=False, curvature=one),
    "squared_hinge": Loss(objectives.SquaredHinge),
    "modified_huber": Loss(objectives.ModifiedHuber, probabilities=clipped),
}
# The losses of the difference of margin and target.
OF_DIFFERENCES = {
    "squared_error": Loss(objectives.LeastSquares),
    "huber": Loss(objectives.Huber, number=DELTA),
    "epsilon_insensitive": Loss(objectives.EpsilonInsensitive, smooth=False, curvature=one, number=EPSILON),
    "squared_epsilon_insensitive": Loss(objectives.SquaredEpsilonInsensitive, number=EPSILON),
    "quantile": Loss(objectives.Quantile, smooth=False, curvature=one, number=QUANTILE),
}
REGRESSION = {name: loss._replace(in_units_of_targets=True) for name, loss in OF_DIFFERENCES.items()} | {
    "poisson": deviance(objectives.Poisson, 1.0),
    "gamma": deviance(objectives.Gamma, 2.0),
    "tweedie": Loss(objectives.Tweedie, curvature=of_deviance, mean=np.exp, domain=domain_of_deviance, number=POWER),
}
