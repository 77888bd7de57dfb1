"""Adam: hyper-parameters and documentation; the update itself is csrc/rules/adam.c."""

from ._base import Optimizer
from ._hyperparameters import Flag, LearningRate, Real


class Adam(Optimizer):
    r"""Adam: steps from bias-corrected running means of the gradient and of its square.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2, \\
        p_t &= p_{t-1} - \eta_t \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t) + \epsilon_r} + \epsilon}

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
    amsgrad : bool, default=False
        Use the largest :math:`v` so far in the place of :math:`v_t` [2]_.
    epsilon_root : float, default=0.0
        Added inside the root, in [0, inf).
    epsilon_hat : bool, default=False
        Add `epsilon` before the bias correction of :math:`v`, the form at the end of section 2 of [1]_, which
        Keras has.
    <common parameters>

    Notes
    -----
    State: ``m`` and ``v``, with `amsgrad` also ``v_max``; 8 or 12 bytes per float32 parameter, twice that for
    float64.

    References
    ----------
    .. [1] D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, arXiv:1412.6980.
    .. [2] S. J. Reddi, S. Kale and S. Kumar, "On the convergence of Adam and beyond", ICLR 2018.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.Adam(x, learning_rate=0.1)
    >>> for _ in range(500):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(x).max() < 1e-2)
    True
    """

    rule = "adam"
    learning_rate = LearningRate(0.001)
    beta_1 = Real(0.9, "[0, 1)")
    beta_2 = Real(0.999, "[0, 1)")
    epsilon = Real(1e-8, "[0, inf)")
    amsgrad = Flag(False)
    epsilon_root = Real(0.0, "[0, inf)")
    epsilon_hat = Flag(False)
