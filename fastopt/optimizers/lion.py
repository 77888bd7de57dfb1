"""Lion: hyper-parameters and documentation; the update itself is csrc/rules/lion.c."""

from ._base import Optimizer
from ._hyperparameters import Flag, LearningRate, Real


class Lion(Optimizer):
    r"""Lion: the sign of an interpolation between momentum and gradient.

    .. math::

        p_t &= p_{t-1} - \eta_t\,\mathrm{sign}(\beta_1 m_{t-1} + (1 - \beta_1) g_t), \\
        m_t &= \beta_2 m_{t-1} + (1 - \beta_2) g_t

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=0.001
        Step size in [0, inf), or a callable that gives it for the step number t = 0, 1, 2, ...
    beta_1 : float, default=0.9
        Weight of the momentum in the step, in [0, 1).
    beta_2 : float, default=0.99
        Decay of the momentum per step, in [0, 1).
    <common parameters>

    Notes
    -----
    Weight decay is decoupled by default, as in the paper. State: ``m``; 4 bytes per float32 parameter, twice that
    for float64.

    References
    ----------
    .. [1] X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023, arXiv:2302.06675.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.Lion(x, learning_rate=0.01)
    >>> for _ in range(1000):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(x).max() < 0.2)
    True
    """

    rule = "lion"
    learning_rate = LearningRate(0.001)
    beta_1 = Real(0.9, "[0, 1)")
    beta_2 = Real(0.99, "[0, 1)")
    decoupled_weight_decay = Flag(True, keyword_only=True)
