"""MoMo: hyper-parameters and documentation; the update itself is csrc/rules/momo.c."""

from ._base import Optimizer
from ._hyperparameters import LearningRate, Real


class MoMo(Optimizer):
    r"""MoMo: SGD with momentum whose rate depends on the value of the objective.

    .. math::

        m_t &= \beta m_{t-1} + (1 - \beta) g_t, \quad f_t = \beta f_{t-1} + (1 - \beta) \text{value}_t, \quad
        c_t = \beta c_{t-1} + (1 - \beta) \langle g_t, p_{t-1} \rangle, \\
        \tau_t &= \min\left(\alpha, \frac{\max\left((1 + \alpha \lambda)(f_t - \text{lower_bound} - c_t)
        + \langle m_t, p_{t-1} \rangle, 0\right)}{\|m_t\|^2}\right), \quad
        p_t = \frac{p_{t-1}}{1 + \alpha \lambda} - \tau_t m_t

    with the learning rate :math:`\alpha`, and :math:`\beta = 0` in the first step. Each step takes the value of the
    objective beside the gradient, of the same parameters and the same samples: ``opt.step(grad, value=f)``.

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=1.0
        The largest rate, in [0, inf), or a callable that gives it for the step number t = 0, 1, 2, ...; better too
        large than too small.
    beta : float, default=0.9
        Decay of the averages of gradients and values per step, in [0, 1).
    lower_bound : float, default=0.0
        Of the objective, finite: the closer it is to the smallest value, the better. With `maximize`, of minus the
        objective.
    <common parameters>

    Notes
    -----
    Sums are over all arrays together, and take one more read of parameters, gradient and state. `weight_decay` is
    :math:`\lambda`, whose penalty is not in the value: it is decoupled, in a way of its own. `clip_norm` and
    `clip_value` change the gradient, but not the value. A value that is not finite is treated like such a gradient:
    see `nonfinite`. State: ``m``; 4 bytes per float32 parameter, twice that for float64. A sparse gradient means
    zeros elsewhere, with both values of `sparse`: a step is a pass over all entries.

    References
    ----------
    .. [1] F. Schaipp, R. Ohana, M. Eickenberg, A. Defazio and R. M. Gower, "MoMo: momentum models for adaptive
           learning rates", ICML 2024, arXiv:2305.07583.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.MoMo(x)
    >>> for _ in range(500):
    ...     opt.step(2 * x, value=x @ x)
    >>> bool(np.abs(x).max() < 1e-2)
    True
    """

    rule = "momo"
    _coupled_decay = "the parameter is divided by\n    ``1 + learning_rate * weight_decay``, as in the formula."
    _no_decoupled_decay = ("whose weight decay is a step of its own", "use `weight_decay` alone")
    learning_rate = LearningRate(1.0)
    beta = Real(0.9, "[0, 1)")
    lower_bound = Real(0.0, "(-inf, inf)")
