"""AdaBelief: hyper-parameters and documentation; the update itself is csrc/rules/adabelief.c."""

from ._base import Optimizer
from ._hyperparameters import LearningRate, Real


class AdaBelief(Optimizer):
    r"""AdaBelief: Adam that scales by how far gradients are from their running mean.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t,
        \quad s_t = \beta_2 s_{t-1} + (1 - \beta_2) (g_t - m_t)^2 + \epsilon_r, \\
        p_t &= p_{t-1} - \eta_t \frac{m_t / (1 - \beta_1^t)}{\sqrt{s_t / (1 - \beta_2^t)} + \epsilon}

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=0.001
        Step size in [0, inf), or a callable that gives it for the step number t = 0, 1, 2, ...
    beta_1 : float, default=0.9
        Decay of the first moment per step, in [0, 1).
    beta_2 : float, default=0.999
        Decay of :math:`s` per step, in [0, 1).
    epsilon : float, default=1e-16
        Added to the root in the denominator, in [0, inf).
    epsilon_root : float, default=1e-16
        Added to :math:`s` in every step, as in the paper, in [0, inf).
    <common parameters>

    Notes
    -----
    State: ``m`` and ``s``; 8 bytes per float32 parameter, twice that for float64.

    References
    ----------
    .. [1] J. Zhuang et al., "AdaBelief optimizer: adapting stepsizes by the belief in observed gradients", NeurIPS
           2020, arXiv:2010.07468.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.AdaBelief(x, learning_rate=0.1)
    >>> for _ in range(500):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(x).max() < 1e-2)
    True
    """

    rule = "adabelief"
    learning_rate = LearningRate(0.001)
    beta_1 = Real(0.9, "[0, 1)")
    beta_2 = Real(0.999, "[0, 1)")
    epsilon = Real(1e-16, "[0, inf)")
    epsilon_root = Real(1e-16, "[0, inf)")
