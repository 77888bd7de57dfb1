"""Softmax regression: documentation and labels; the loss itself is csrc/losses/softmax.c."""

from __future__ import annotations

from .._types import ArrayLike, Samples
from .._validation import labels as validation
from .._validation.scalars import integer
from ._base import Objective


class Softmax(Objective):
    r"""Multinomial logistic regression with K classes.

    .. math::

        \ell(z, y) = \log \sum_k e^{z_k} - z_y, \qquad y \in \{0, \dots, K - 1\}

    Parameters
    ----------
    <common X>
    y : array_like of shape (n_samples,)
        Class numbers 0, 1, ..., K - 1.
    n_classes : int, optional
        K, at least 2; by default the largest number in `y` plus 1.
    <common parameters>

    Notes
    -----
    The parameters are a matrix of shape (n_features, K), flattened row by row; with `fit_intercept` it has one more
    row, the last one.

    <common methods>

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> X = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    >>> objective = fastopt.objectives.Softmax(X, [0, 1, 2])
    >>> objective.n_parameters, round(objective(np.zeros(6)), 6)
    (6, 1.098612)
    """

    loss = "softmax"
    curvature = 0.5
    _takes_targets = False

    def __init__(
        self,
        X: Samples,
        y: ArrayLike,
        *,
        n_classes: int | None = None,
        l2: float = 0.0,
        l1: float = 0.0,
        fit_intercept: bool = False,
        sample_weight: ArrayLike | None = None,
        weight_scale: str | None = "mean",
        linear: ArrayLike | None = None,
    ) -> None:
        self._known_n_classes = None if n_classes is None else integer("n_classes", n_classes, 2)
        common = {"l2": l2, "l1": l1, "fit_intercept": fit_intercept, "sample_weight": sample_weight}
        super().__init__(X, y, **common, weight_scale=weight_scale, linear=linear)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self.n_outputs

    def _labels(self, y):
        labels, self._known_n_classes = validation.classes(y, self._known_n_classes)
        return labels, self._known_n_classes

    def _over_all(self, unit, n_outputs):
        other = super()._over_all(unit, n_outputs)
        other._known_n_classes = n_outputs
        return other
