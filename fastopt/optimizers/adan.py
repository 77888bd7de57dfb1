"""Adan: hyper-parameters and documentation; the update itself is csrc/rules/adan.c."""

from ._base import Optimizer
from ._hyperparameters import LearningRate, Real


class Adan(Optimizer):
    r"""Adan: Adam's steps with Nesterov's momentum, made of the differences of gradients.

    .. math::

        e_t &= g_t - g_{t-1} \quad (e_1 = 0), \\
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad d_t = \beta_2 d_{t-1} + (1 - \beta_2) e_t, \\
        v_t &= \beta_3 v_{t-1} + (1 - \beta_3) (g_t + \beta_2 e_t)^2, \\
        p_t &= \frac{1}{1 + \eta_t \lambda} \left( p_{t-1} - \eta_t \frac{m_t / (1 - \beta_1^t)
        + \beta_2 d_t / (1 - \beta_2^t)}{\sqrt{v_t / (1 - \beta_3^t)} + \epsilon} \right)

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=0.001
        Step size in [0, inf), or a callable that gives it for the step number t = 0, 1, 2, ...
    beta_1 : float, default=0.98
        Decay of the mean of gradients per step, in [0, 1); 1 minus the paper's.
    beta_2 : float, default=0.92
        Decay of the mean of their differences per step, and the weight of that mean; in [0, 1).
    beta_3 : float, default=0.99
        Decay of the second moment per step, in [0, 1).
    epsilon : float, default=1e-8
        Added to the root in the denominator, in [0, inf).
    <common parameters>

    Notes
    -----
    Weight decay :math:`\lambda` divides the new parameter, as in the paper; decoupled, it multiplies the old one by
    :math:`1 - \eta_t \lambda` instead. The moments start at 0 and are corrected for it, as in the code of the paper's
    authors; the paper's text starts them at the first gradient.

    With lazy sparse gradients the gradient before the present one is the last one that touched the entry, or 0 if none
    has; with exact ones it is that of the last step, 0 if that did not touch the entry.

    State: ``m``, ``d``, ``v`` and ``prev_grad``; 16 bytes per float32 parameter, twice that for float64.

    References
    ----------
    .. [1] X. Xie et al., "Adan: adaptive Nesterov momentum algorithm for faster optimizing deep models", TPAMI 46
           (2024), arXiv:2208.06677.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.Adan(x, learning_rate=0.1)
    >>> for _ in range(1000):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(x).max() < 1e-2)
    True
    """

    rule = "adan"
    _coupled_decay = "the parameter is divided by\n    ``1 + learning_rate * weight_decay`` after the update."
    learning_rate = LearningRate(0.001)
    beta_1 = Real(0.98, "[0, 1)")
    beta_2 = Real(0.92, "[0, 1)")
    beta_3 = Real(0.99, "[0, 1)")
    epsilon = Real(1e-8, "[0, inf)")
