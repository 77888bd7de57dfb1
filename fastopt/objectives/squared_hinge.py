"""The squared hinge loss: documentation and labels; the loss itself is csrc/losses/squared_hinge.c."""

from .._validation import objectives as validation
from ._base import Objective


class SquaredHinge(Objective):
    r"""Support vector machine with a smooth loss.

    .. math::

        \ell(z, y) = \max(0, 1 - y z)^2, \qquad y \in \{-1, 1\}

    Parameters
    ----------
    <common X>
    y : array_like of shape (n_samples,) or (n_samples, k)
        Labels in {-1, 1}, or in {0, 1}, which stands for the same. Of two others, such as words,
        ``np.unique(y, return_inverse=True)[1]`` makes these.
    <common parameters>

    Notes
    -----
    <common methods>

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> X = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    >>> objective = fastopt.objectives.SquaredHinge(X, [1, -1, 1])
    >>> objective([0.0, 0.0]), objective.gradient([1.0, -1.0]).round(3)
    (1.0, array([-0.667, -0.667]))
    """

    loss = "squared_hinge"
    curvature = 2.0

    def _checked(self, y):
        return validation.binary_labels(y)
