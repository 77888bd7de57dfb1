"""LAMB: hyper-parameters and documentation; the update itself is csrc/rules/lamb.c."""

from ._base import Optimizer
from ._hyperparameters import LearningRate, Real


class LAMB(Optimizer):
    r"""LAMB: Adam, whose step each array scales by its own norm and that of the step.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t, \quad v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2, \\
        u_t &= \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon} + \lambda p_{t-1}, \quad
        p_t = p_{t-1} - \text{learning_rate} \frac{\|p_{t-1}\|}{\|u_t\|} u_t

    Where either norm is zero, the ratio is 1.

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=0.001
        Step size in [0, inf), or a callable that gives it for the step number t = 0, 1, 2, ...
    beta_1 : float, default=0.9
        Decay of the first moment per step, in [0, 1).
    beta_2 : float, default=0.999
        Decay of the second moment per step, in [0, 1).
    epsilon : float, default=1e-6
        Added to the root in the denominator, in [0, inf).
    <common parameters>

    Notes
    -----
    Norms are those of each array in `params`. `weight_decay` is :math:`\lambda`, a part of :math:`u`; decoupled, it
    scales the parameters before, as in Keras. The norms take one more read of parameters, gradient and state. State:
    ``m`` and ``v``; 8 bytes per float32 parameter, twice that for float64.

    References
    ----------
    .. [1] Y. You et al., "Large batch optimization for deep learning: training BERT in 76 minutes", ICLR 2020,
           arXiv:1904.00962.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.LAMB(x, learning_rate=0.05)
    >>> for _ in range(500):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(x).max() < 1e-2)
    True
    """

    rule = "lamb"
    _coupled_decay = "``weight_decay * p`` is added to the step, before its norm is taken."
    learning_rate = LearningRate(0.001)
    beta_1 = Real(0.9, "[0, 1)")
    beta_2 = Real(0.999, "[0, 1)")
    epsilon = Real(1e-6, "[0, inf)")
