"""Tweedie regression: documentation and labels; the loss itself is csrc/losses/tweedie.c."""

from __future__ import annotations

from .._types import ArrayLike, Samples
from .._validation import labels as validation
from ._base import Objective


class Tweedie(Objective):
    r"""Regression with a Tweedie distribution and a logarithmic link: the variance is a power of the mean :math:`e^z`.

    .. math::

        \ell(z, y) = \frac{e^{(2 - p) z}}{2 - p} - \frac{y\, e^{(1 - p) z}}{1 - p}, \qquad p \le 0 \text{ or } p \ge 1

    For :math:`p = 1` the second term is :math:`y z`, and for :math:`p = 2` the first one is :math:`z`.

    Parameters
    ----------
    <common X>
    y : array_like of shape (n_samples,) or (n_samples, k)
        Any real numbers if `power` is at most 0, at least 0 if it is below 2, else above 0.
    power : float, default=1.5
        The power p of the mean: 0 is the normal distribution, 1 that of `Poisson`, 2 that of `Gamma`, 3 the inverse
        Gaussian one; between 1 and 2 are sums of a random number of gamma-distributed ones. In (-inf, 0] or [1, inf).
    <common parameters>

    Notes
    -----
    Half the Tweedie deviance, which scikit-learn's ``TweedieRegressor`` minimizes with ``link="log"``, without terms
    that do not depend on the parameters. The loss has no Lipschitz constant: "svrg" and "saga" need a `learning_rate`.
    For powers outside [1, 2] it is not convex.

    <common methods>

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> X = np.ones((4, 1))
    >>> objective = fastopt.objectives.Tweedie(X, [0.0, 0.0, 3.0, 5.0], power=1.5)
    >>> bool(abs(objective.gradient([np.log(2.0)])[0]) < 1e-12)     # the mean is 2
    True
    """

    loss = "tweedie"
    _own = ("power",)

    def __init__(
        self,
        X: Samples,
        y: ArrayLike,
        *,
        power: float = 1.5,
        l2: float = 0.0,
        l1: float = 0.0,
        fit_intercept: bool = False,
        sample_weight: ArrayLike | None = None,
        weight_scale: str | None = "mean",
        linear: ArrayLike | None = None,
    ) -> None:
        self._check_first_init()
        self._power = validation.tweedie_power(power)
        common = {"l2": l2, "l1": l1, "fit_intercept": fit_intercept, "sample_weight": sample_weight}
        super().__init__(X, y, **common, weight_scale=weight_scale, linear=linear)

    @property
    def power(self) -> float:
        """The power of the mean that the variance is."""
        return self._power

    def _checked(self, y):
        name = f"{type(self).__name__} of this power"
        return y if self._power <= 0 else validation.counts(y) if self._power < 2 else validation.positive(y, name)

    def _loss_parameter(self):
        return self._power
