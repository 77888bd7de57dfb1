"""Adagrad: hyper-parameters and documentation; the update itself is csrc/rules/adagrad.c."""

from ._base import Optimizer
from ._hyperparameters import LearningRate, Real


class Adagrad(Optimizer):
    r"""Adagrad: a learning rate per entry that falls with its squared gradients so far.

    .. math::

        s_t = s_{t-1} + g_t^2, \qquad p_t = p_{t-1} - \eta_t \frac{g_t}{\sqrt{s_t + \epsilon_r} + \epsilon}

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=0.01
        Step size in [0, inf), or a callable that gives it for the step number t = 0, 1, 2, ...
    initial_accumulator_value : float, default=0.1
        Where :math:`s` starts, in [0, inf).
    epsilon : float, default=1e-7
        Added to the root in the denominator, in [0, inf).
    epsilon_root : float, default=0.0
        Added inside the root, in [0, inf).
    <common parameters>

    Notes
    -----
    State: ``accumulator``; 4 bytes per float32 parameter, twice that for float64.

    References
    ----------
    .. [1] J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods for online learning and stochastic
           optimization", JMLR 12 (2011).

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.Adagrad(x, learning_rate=1.0)
    >>> for _ in range(500):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(x).max() < 1e-2)
    True
    """

    rule = "adagrad"
    _penalty = "flow"
    learning_rate = LearningRate(0.01)
    initial_accumulator_value = Real(0.1, "[0, inf)", initial=True)
    epsilon = Real(1e-7, "[0, inf)")
    epsilon_root = Real(0.0, "[0, inf)")
