"""RAdam: hyper-parameters and documentation; the update itself is csrc/rules/radam.c."""

from ._base import Optimizer
from ._hyperparameters import Flag, LearningRate, Real


class RAdam(Optimizer):
    r"""RAdam: Adam with a correction for the variance of its adaptive rate in the first steps.

    .. math::

        \rho_\infty &= \frac{2}{1 - \beta_2} - 1, \qquad \rho_t = \rho_\infty - \frac{2 t \beta_2^t}{1 - \beta_2^t}, \\
        p_t &= p_{t-1} - \eta_t \sqrt{\frac{(\rho_t - 4)(\rho_t - 2) \rho_\infty}{(\rho_\infty - 4)(\rho_\infty - 2)
        \rho_t}} \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}

    with the moments :math:`m_t` and :math:`v_t` of `Adam`.

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
    epsilon : float, default=1e-8
        Added to the root in the denominator, in [0, inf).
    threshold : float, default=5.0
        Below and at this :math:`\rho_t` the step is :math:`\eta_t m_t / (1 - \beta_1^t)` alone; in [4, inf).
        The paper's text has 4, its authors' code and the frameworks 5.
    epsilon_hat : bool, default=False
        As for `Adam`.
    <common parameters>

    Notes
    -----
    Above the threshold the step is that of `Adam` times
    :math:`\sqrt{(\rho_t-4)(\rho_t-2)\rho_\infty / ((\rho_\infty-4)(\rho_\infty-2)\rho_t)}`.
    State: ``m`` and ``v``; 8 bytes per float32 parameter, twice that for float64.

    References
    ----------
    .. [1] L. Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR 2020, arXiv:1908.03265.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.RAdam(x, learning_rate=0.1)
    >>> for _ in range(1000):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(x).max() < 1e-2)
    True
    """

    rule = "radam"
    learning_rate = LearningRate(0.001)
    beta_1 = Real(0.9, "[0, 1)")
    beta_2 = Real(0.999, "[0, 1)")
    epsilon = Real(1e-8, "[0, inf)")
    threshold = Real(5.0, "[4, inf)")
    epsilon_hat = Flag(False)
