"""Poisson regression: documentation and labels; the loss itself is csrc/losses/poisson.c."""

from .._validation import objectives as validation
from ._base import Objective


class Poisson(Objective):
    r"""Regression of counts with a logarithmic link: the mean of a count is :math:`e^z`.

    .. math::

        \ell(z, y) = e^z - y z

    Parameters
    ----------
    <common X>
    y : array_like of shape (n_samples,) or (n_samples, k)
        At least 0.
    <common parameters>

    Notes
    -----
    The loss has no Lipschitz constant: "svrg" and "saga" need a `learning_rate`.

    <common methods>

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> X = np.ones((4, 1))
    >>> objective = fastopt.objectives.Poisson(X, [1, 2, 3, 2])
    >>> bool(abs(objective.gradient([np.log(2.0)])[0]) < 1e-12)     # the mean is 2
    True
    """

    loss = "poisson"

    def _checked(self, y):
        return validation.counts(y)
