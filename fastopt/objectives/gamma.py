"""Gamma regression: documentation and labels; the loss itself is csrc/losses/gamma.c."""

from .._validation import objectives as validation
from ._base import Objective


class Gamma(Objective):
    r"""Regression of positive numbers with a logarithmic link: mean :math:`e^z`, and a spread in proportion to it.

    .. math::

        \ell(z, y) = z + y e^{-z}

    Parameters
    ----------
    <common X>
    y : array_like of shape (n_samples,) or (n_samples, k)
        Above 0.
    <common parameters>

    Notes
    -----
    Half the gamma deviance, which scikit-learn's ``GammaRegressor`` minimizes, plus :math:`1 + \log y`, which does not
    depend on the parameters. The loss has no Lipschitz constant: "svrg" and "saga" need a `learning_rate`.

    <common methods>

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> X = np.ones((4, 1))
    >>> objective = fastopt.objectives.Gamma(X, [1.0, 2.0, 3.0, 2.0])
    >>> bool(abs(objective.gradient([np.log(2.0)])[0]) < 1e-12)     # the mean is 2
    True
    """

    loss = "gamma"

    def _checked(self, y):
        return validation.positive(y, type(self).__name__)
