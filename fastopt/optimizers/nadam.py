"""NAdam: hyper-parameters and documentation; the update itself is csrc/rules/nadam.c."""

from ._base import Optimizer
from ._hyperparameters import LearningRate, Real


class NAdam(Optimizer):
    r"""NAdam: Adam with Nesterov's look-ahead and the paper's momentum schedule.

    .. math::

        \mu_t &= \beta_1 \left(1 - \tfrac12 0.96^{t \psi}\right), \qquad
        \hat m_t = \frac{\mu_{t+1} m_t}{1 - \prod_{i=1}^{t+1} \mu_i}
        + \frac{(1 - \mu_t) g_t}{1 - \prod_{i=1}^{t} \mu_i}, \\
        p_t &= p_{t-1} - \eta_t \frac{\hat m_t}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}

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
    epsilon : float, default=1e-7
        Added to the root in the denominator, in [0, inf).
    momentum_decay : float, default=0.004
        :math:`\psi`, in [0, inf]. Keras's is 1; infinity keeps :math:`\mu_t` at `beta_1`, as in optax.
    <common parameters>

    Notes
    -----
    This is torch's and Keras's form: :math:`m_t` decays with `beta_1`, and only the look-ahead :math:`\hat m_t` has the
    schedule. In the paper's algorithm 2 :math:`m_t = \mu_t m_{t-1} + (1 - \mu_t) g_t` has it, too. With
    ``momentum_decay=inf`` both are the same.

    State: ``m`` and ``v`` (as `Adam`), and the product of the :math:`\mu_i`; 8 bytes per float32 parameter, twice
    that for float64.

    References
    ----------
    .. [1] T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.NAdam(x, learning_rate=0.1)
    >>> for _ in range(500):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(x).max() < 1e-2)
    True
    """

    rule = "nadam"
    learning_rate = LearningRate(0.001)
    beta_1 = Real(0.9, "[0, 1)")
    beta_2 = Real(0.999, "[0, 1)")
    epsilon = Real(1e-7, "[0, inf)")
    momentum_decay = Real(0.004, "[0, inf]")
