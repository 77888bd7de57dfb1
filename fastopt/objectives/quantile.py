"""Quantile regression: documentation and parameter; the loss itself is csrc/losses/quantile.c."""

from __future__ import annotations

from .._types import ArrayLike, Samples
from .._validation.scalars import real
from ._base import Objective


class Quantile(Objective):
    r"""Quantile regression (Koenker & Bassett 1978): the margin becomes the q-quantile of the labels of such samples.

    .. math::

        \ell(z, y) = \max\bigl(q\,(y - z),\ (1 - q)\,(z - y)\bigr)

    Parameters
    ----------
    <common X>
    y : array_like of shape (n_samples,) or (n_samples, k)
        Finite real numbers.
    q : float, default=0.5
        The quantile, in (0, 1); 0.5 is the median.
    <common parameters>

    Notes
    -----
    The pinball loss of scikit-learn's ``QuantileRegressor`` and ``mean_pinball_loss``, where `q` is called `quantile`
    and `alpha`. At the kink, ``z = y``, the derivative is taken as 0. It has no Lipschitz constant: "svrg" and "saga"
    need a `learning_rate`.

    <common methods>

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> X = np.ones((4, 1))
    >>> objective = fastopt.objectives.Quantile(X, [1.0, 2.0, 3.0, 10.0], q=0.75)
    >>> objective([3.0]), objective([5.0])
    (1.5, 1.5)
    """

    loss = "quantile"
    _own = ("q",)

    def __init__(
        self,
        X: Samples,
        y: ArrayLike,
        *,
        q: float = 0.5,
        l2: float = 0.0,
        l1: float = 0.0,
        fit_intercept: bool = False,
        sample_weight: ArrayLike | None = None,
        weight_scale: str | None = "mean",
        linear: ArrayLike | None = None,
    ) -> None:
        self._check_first_init()
        self._q = real("q", q, "(0, 1)")
        common = {"l2": l2, "l1": l1, "fit_intercept": fit_intercept, "sample_weight": sample_weight}
        super().__init__(X, y, **common, weight_scale=weight_scale, linear=linear)

    @property
    def q(self) -> float:
        """The quantile."""
        return self._q

    def _loss_parameter(self):
        return self._q
