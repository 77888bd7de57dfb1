"""Yogi: hyper-parameters and documentation; the update itself is csrc/rules/yogi.c."""

from ._base import Optimizer
from ._hyperparameters import Flag, LearningRate, Real


class Yogi(Optimizer):
    r"""Yogi: Adam whose second moment moves by a bounded amount a step.

    .. math::

        v_t = v_{t-1} - (1 - \beta_2)\,\mathrm{sign}(v_{t-1} - g_t^2)\,g_t^2,
        \qquad p_t = p_{t-1} - \eta_t \frac{m_t}{\sqrt{v_t} + \epsilon}

    with the first moment :math:`m_t` of `Adam`.

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=0.01
        Step size in [0, inf), or a callable that gives it for the step number t = 0, 1, 2, ...
    beta_1 : float, default=0.9
        Decay of the first moment per step, in [0, 1).
    beta_2 : float, default=0.999
        Decay of the second moment per step, in [0, 1).
    epsilon : float, default=1e-3
        Added to the root in the denominator, in [0, inf).
    initial_accumulator_value : float, default=1e-6
        Where :math:`v` starts, in [0, inf).
    bias_correction : bool, default=False
        Correct :math:`m` and :math:`v` as `Adam` does; the paper does not, optax does.
    <common parameters>

    Notes
    -----
    State: ``m`` and ``v``; 8 bytes per float32 parameter, twice that for float64.

    References
    ----------
    .. [1] M. Zaheer et al., "Adaptive methods for nonconvex optimization", NeurIPS 2018.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.Yogi(x, learning_rate=0.1)
    >>> for _ in range(2000):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(x).max() < 1e-2)
    True
    """

    rule = "yogi"
    learning_rate = LearningRate(0.01)
    beta_1 = Real(0.9, "[0, 1)")
    beta_2 = Real(0.999, "[0, 1)")
    epsilon = Real(1e-3, "[0, inf)")
    initial_accumulator_value = Real(1e-6, "[0, inf)", initial=True)
    bias_correction = Flag(False)
