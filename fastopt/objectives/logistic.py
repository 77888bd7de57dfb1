"""Logistic regression: documentation and labels; the loss itself is csrc/losses/logistic.c."""

from .._validation import objectives as validation
from ._base import Objective


class Logistic(Objective):
    r"""Logistic regression with two classes.

    .. math::

        \ell(z, y) = \log(1 + e^{-y z}), \qquad y \in \{-1, 1\}

    Parameters
    ----------
    <common X>
    y : array_like of shape (n_samples,) or (n_samples, k)
        Labels in {-1, 1}, or in {0, 1}, which stands for the same. Of two others, such as words,
        ``np.unique(y, return_inverse=True)[1]`` makes these.
    <common parameters>

    Notes
    -----
    Exact for margins of any size: value and derivative come from :math:`e^{-|z|}`.

    <common methods>

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> X = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    >>> objective = fastopt.objectives.Logistic(X, [1, 0, 1], l2=0.1)
    >>> round(objective([0.0, 0.0]), 6)
    0.693147
    >>> res = fastopt.minimize(objective, [0.0, 0.0], method="saga", options={"epochs": 200}, rng=0)
    >>> bool(abs(res.jac).max() < 1e-6)
    True
    """

    loss = "logistic"
    curvature = 0.25

    def _checked(self, y):
        return validation.binary_labels(y)
