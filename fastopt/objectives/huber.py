"""The Huber loss: documentation and parameter; the loss itself is csrc/losses/huber.c."""

from __future__ import annotations

from .._types import ArrayLike, Samples
from .._validation.scalars import real
from ._base import Objective


class Huber(Objective):
    r"""Robust linear regression (Huber 1964): squares of small residuals, absolute values of large ones.

    .. math::

        \ell(z, y) = \begin{cases} \tfrac12 r^2 & |r| \le \delta \\ \delta |r| - \tfrac12 \delta^2 & |r| > \delta
        \end{cases}, \qquad r = z - y

    Parameters
    ----------
    <common X>
    y : array_like of shape (n_samples,) or (n_samples, k)
        Finite real numbers.
    delta : float, default=1.0
        Where the loss turns from a square to a line, in (0, inf).
    <common parameters>

    Notes
    -----
    <common methods>

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> X = np.array([[1.0], [1.0], [1.0]])
    >>> objective = fastopt.objectives.Huber(X, [0.0, 0.5, 100.0], delta=0.5)
    >>> objective.gradient([0.25])
    array([-0.16666667])
    """

    loss = "huber"
    curvature = 1.0
    _own = ("delta",)

    def __init__(
        self,
        X: Samples,
        y: ArrayLike,
        *,
        delta: float = 1.0,
        l2: float = 0.0,
        l1: float = 0.0,
        fit_intercept: bool = False,
        sample_weight: ArrayLike | None = None,
        weight_scale: str | None = "mean",
        linear: ArrayLike | None = None,
    ) -> None:
        self._check_first_init()
        self._delta = real("delta", delta, "(0, inf)")
        common = {"l2": l2, "l1": l1, "fit_intercept": fit_intercept, "sample_weight": sample_weight}
        super().__init__(X, y, **common, weight_scale=weight_scale, linear=linear)

    @property
    def delta(self) -> float:
        """Where the loss turns from a square to a line."""
        return self._delta

    def _loss_parameter(self):
        return self._delta
