"""Smooth support vector regression: documentation; the loss is csrc/losses/squared_epsilon_insensitive.c."""

from __future__ import annotations

from .._types import ArrayLike, Samples
from .._validation.scalars import real
from ._base import Objective


class SquaredEpsilonInsensitive(Objective):
    r"""Linear support vector regression with a smooth loss: residuals up to epsilon cost nothing.

    .. math::

        \ell(z, y) = \max(0, |z - y| - \epsilon)^2

    Parameters
    ----------
    <common X>
    y : array_like of shape (n_samples,) or (n_samples, k)
        Finite real numbers.
    epsilon : float, default=0.1
        Half the width of the band without loss, in [0, inf).
    <common parameters>

    Notes
    -----
    The loss of this name in scikit-learn's ``SGDRegressor`` and ``LinearSVR``. It has no factor of one half: for
    ``epsilon=0`` it is twice that of `LeastSquares`.

    <common methods>

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> X = np.array([[1.0, 0.0], [0.0, 2.0]])
    >>> objective = fastopt.objectives.SquaredEpsilonInsensitive(X, [1.0, 2.0], epsilon=0.5)
    >>> objective([1.25, 2.0]), objective.gradient([1.25, 2.0])
    (1.125, array([0., 3.]))
    """

    loss = "squared_epsilon_insensitive"
    curvature = 2.0
    _own = ("epsilon",)

    def __init__(
        self,
        X: Samples,
        y: ArrayLike,
        *,
        epsilon: float = 0.1,
        l2: float = 0.0,
        l1: float = 0.0,
        fit_intercept: bool = False,
        sample_weight: ArrayLike | None = None,
        weight_scale: str | None = "mean",
        linear: ArrayLike | None = None,
    ) -> None:
        self._check_first_init()
        self._epsilon = real("epsilon", epsilon, "[0, inf)")
        common = {"l2": l2, "l1": l1, "fit_intercept": fit_intercept, "sample_weight": sample_weight}
        super().__init__(X, y, **common, weight_scale=weight_scale, linear=linear)

    @property
    def epsilon(self) -> float:
        """Half the width of the band without loss."""
        return self._epsilon

    def _loss_parameter(self):
        return self._epsilon
