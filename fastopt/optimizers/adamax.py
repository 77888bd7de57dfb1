"""Adamax: hyper-parameters and documentation; the update itself is csrc/rules/adamax.c."""

from ._base import Optimizer
from ._hyperparameters import LearningRate, Real


class Adamax(Optimizer):
    r"""Adamax: Adam with the largest recent gradient in the place of the root mean square.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad u_t = \max(\beta_2 u_{t-1}, |g_t| + \epsilon_m), \\
        p_t &= p_{t-1} - \frac{\eta_t}{1 - \beta_1^t} \frac{m_t}{u_t + \epsilon}

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=0.001
        Step size in [0, inf), or a callable that gives it for the step number t = 0, 1, 2, ...
    beta_1 : float, default=0.9
        Decay of the first moment per step, in [0, 1).
    beta_2 : float, default=0.999
        Decay of the largest gradient per step, in [0, 1).
    epsilon : float, default=1e-7
        Added to :math:`u` in the denominator, as in Keras, in [0, inf). The paper has none.
    epsilon_max : float, default=0.0
        :math:`\epsilon_m`, added to the absolute gradient, as in torch and optax, in [0, inf).
    <common parameters>

    Notes
    -----
    State: ``m`` and ``u``; 8 bytes per float32 parameter, twice that for float64.

    References
    ----------
    .. [1] D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", section 7.1, ICLR 2015.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.Adamax(x, learning_rate=0.1)
    >>> for _ in range(500):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(x).max() < 1e-2)
    True
    """

    rule = "adamax"
    learning_rate = LearningRate(0.001)
    beta_1 = Real(0.9, "[0, 1)")
    beta_2 = Real(0.999, "[0, 1)")
    epsilon = Real(1e-7, "[0, inf)")
    epsilon_max = Real(0.0, "[0, inf)")
