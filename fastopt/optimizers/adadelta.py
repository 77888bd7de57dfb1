"""Adadelta: hyper-parameters and documentation; the update itself is csrc/rules/adadelta.c."""

from ._base import Optimizer
from ._hyperparameters import LearningRate, Real


class Adadelta(Optimizer):
    r"""Adadelta: steps in the units of the parameter, from running averages of gradients and of steps.

    .. math::

        s_t &= \rho s_{t-1} + (1 - \rho) g_t^2,
        &\quad d_t &= \frac{\sqrt{a_{t-1} + \epsilon}}{\sqrt{s_t + \epsilon}} g_t, \\
        a_t &= \rho a_{t-1} + (1 - \rho) d_t^2, &\quad p_t &= p_{t-1} - \eta_t d_t

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=1.0
        Step size in [0, inf), or a callable that gives it for the step number t = 0, 1, 2, ...
    rho : float, default=0.95
        Decay of both averages per step, in [0, 1).
    epsilon : float, default=1e-6
        Added inside both roots, as in the paper, in [0, inf).
    <common parameters>

    Notes
    -----
    State: ``accumulator`` (:math:`s`) and ``delta_accumulator`` (:math:`a`); 8 bytes per float32 parameter, twice
    that for float64.

    References
    ----------
    .. [1] M. D. Zeiler, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701 (2012).

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.Adadelta(x)
    >>> for _ in range(3000):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(x).max() < 1e-2)
    True
    """

    rule = "adadelta"
    learning_rate = LearningRate(1.0)
    rho = Real(0.95, "[0, 1)")
    epsilon = Real(1e-6, "[0, inf)")
