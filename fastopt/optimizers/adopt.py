"""ADOPT: hyper-parameters and documentation; the update itself is csrc/rules/adopt.c."""

from ._base import Optimizer
from ._hyperparameters import LearningRate, Real


class ADOPT(Optimizer):
    r"""ADOPT: Adam with the gradient left out of its own denominator, which converges for any :math:`\beta_2`.

    .. math::

        u_t &= \mathrm{clip}\left(\frac{g_t}{\max(\sqrt{v_{t-1}}, \epsilon)}, -c_t, c_t\right),
        \qquad c_t = (t - \delta)^\gamma, \\
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) u_t, \qquad p_t = p_{t-1} - \eta_t m_t, \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2) g_t^2

    from the second step on; the first sets :math:`v_1 = g_1^2` and does not move.

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=0.001
        Step size in [0, inf), or a callable that gives it for the step number t = 0, 1, 2, ...
    beta_1 : float, default=0.9
        Decay of the first moment per step, in [0, 1).
    beta_2 : float, default=0.9999
        Decay of the second moment per step, in [0, 1).
    epsilon : float, default=1e-6
        The least denominator, in [0, inf).
    clip_exponent : float, default=0.25
        :math:`\gamma`, in [0, inf]; inf: no clipping.
    clip_delay : float, default=1.0
        :math:`\delta`, in [0, 1]: 1 counts the steps that move, as the paper, its authors' code and optax do; 0 counts
        all steps, as pytorch-optimizer does.
    <common parameters>

    Notes
    -----
    The first step does not move parameters, but decoupled weight decay shrinks them in every step.

    Where all gradients before were 0, or sparse ones touched nothing, :math:`v_{t-1}` is 0 and the denominator
    `epsilon`: nearly always :math:`u_t = \pm c_t` then. With lazy sparse gradients an untouched entry keeps its moments
    and does not move.

    State: ``m`` and ``v``; 8 bytes per float32 parameter, twice that for float64.

    References
    ----------
    .. [1] S. Taniguchi et al., "ADOPT: modified Adam can converge with any beta2 with the optimal rate", NeurIPS
           2024, arXiv:2411.02853.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.ADOPT(x, learning_rate=0.1)
    >>> for _ in range(1000):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(x).max() < 1e-2)
    True
    """

    rule = "adopt"
    learning_rate = LearningRate(0.001)
    beta_1 = Real(0.9, "[0, 1)")
    beta_2 = Real(0.9999, "[0, 1)")
    epsilon = Real(1e-6, "[0, inf)")
    clip_exponent = Real(0.25, "[0, inf]")
    clip_delay = Real(1.0, "[0, 1]")
