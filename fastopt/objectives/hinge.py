"""The hinge loss: documentation and labels; the loss itself is csrc/losses/hinge.c."""

from .._validation import objectives as validation
from ._base import Objective


class Hinge(Objective):
    r"""Linear support vector machine (Cortes & Vapnik 1995).

    .. math::

        \ell(z, y) = \max(0, 1 - y z), \qquad y \in \{-1, 1\}

    Parameters
    ----------
    <common X>
    y : array_like of shape (n_samples,) or (n_samples, k)
        Labels in {-1, 1}, or in {0, 1}, which stands for the same. Of two others, such as words,
        ``np.unique(y, return_inverse=True)[1]`` makes these.
    <common parameters>

    Notes
    -----
    At the kink, ``y z = 1``, the derivative is taken as 0. It has no Lipschitz constant: "svrg" and "saga" need a
    `learning_rate`.

    <common methods>

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> X = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    >>> objective = fastopt.objectives.Hinge(X, [1, -1, 1])
    >>> objective([0.0, 0.0]), objective([1.0, -1.0])
    (1.0, 0.3333333333333333)
    """

    loss = "hinge"

    def _checked(self, y):
        return validation.binary_labels(y)
