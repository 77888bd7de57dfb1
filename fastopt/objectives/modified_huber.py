"""The modified Huber loss: documentation and labels; the loss itself is csrc/losses/modified_huber.c."""

from .._validation import objectives as validation
from ._base import Objective


class ModifiedHuber(Objective):
    r"""Classification with a smooth loss that outliers do not dominate (Zhang 2004).

    .. math::

        \ell(z, y) = \begin{cases} \max(0, 1 - y z)^2 & y z \ge -1 \\ -4 y z & y z < -1 \end{cases},
        \qquad y \in \{-1, 1\}

    Parameters
    ----------
    <common X>
    y : array_like of shape (n_samples,) or (n_samples, k)
        Labels in {-1, 1}, or in {0, 1}, which stands for the same. Of two others, such as words,
        ``np.unique(y, return_inverse=True)[1]`` makes these.
    <common parameters>

    Notes
    -----
    The loss of this name in scikit-learn's ``SGDClassifier``.

    <common methods>

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> X = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    >>> objective = fastopt.objectives.ModifiedHuber(X, [1, -1, 1])
    >>> objective([0.0, 0.0]), objective.gradient([0.0, 1.0]).round(3)
    (1.0, array([-0.667,  2.667]))
    """

    loss = "modified_huber"
    curvature = 2.0

    def _checked(self, y):
        return validation.binary_labels(y)
