"""ScheduleFreeAdamW: hyper-parameters and documentation; the update itself is csrc/rules/schedulefreeadamw.c."""

from ._hyperparameters import Flag, LearningRate, Real
from ._schedulefree import ScheduleFree


class ScheduleFreeAdamW(ScheduleFree):
    r"""Schedule-free AdamW: Adam's scaling, an average in place of momentum and of a falling learning rate.

    .. math::

        v_t &= \beta_2 v_{t-1} + (1 - \beta_2) g_t^2, \quad z_t = z_{t-1} - \eta_t' \left(\frac{g_t}{\sqrt{v_t /
        (1 - \beta_2^t)} + \epsilon} + \lambda p_{t-1}\right), \\
        x_t &= (1 - c_t) x_{t-1} + c_t z_t, \quad p_t = \beta_1 x_t + (1 - \beta_1) z_t, \\
        \eta_t' &= \eta_t \min(1, t / T), \quad c_t = \frac{w_t}{\sum_{i \le t} w_i},
        \quad w_t = t^r \left(\max_{i \le t} \eta_i'\right)^q

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=0.0025
        Step size in [0, inf), or a callable that gives it for the step number t = 0, 1, 2, ...
    beta_1 : float, default=0.9
        Weight of the average in the point at which gradients are taken, in (0, 1].
    beta_2 : float, default=0.999
        Decay of the second moment per step, in [0, 1).
    epsilon : float, default=1e-8
        Added to the root in the denominator, in [0, inf).
    warmup_steps : float, default=0.0
        :math:`T`, the steps in which the rate rises linearly, in [0, inf).
    r : float, default=0.0
        Power of the step number in the weights of the average, in [0, inf).
    weight_power : float, default=2.0
        :math:`q`, the power of the largest rate so far in the weights, in [0, inf).
    <common parameters>

    Notes
    -----
    Gradients are taken at the parameters :math:`p`, the paper's :math:`y`. What to use after training is the average
    :math:`x`, which `solution` returns. The learning rate is meant to be constant after the warm-up.

    Decoupled weight decay, the default, moves :math:`z` by :math:`\eta_t' \lambda p_{t-1}`, as in the formula; the
    parameter is not multiplied. In float32 the total at :math:`z` is right however small this is; the parameter and
    the average follow as far as :math:`c_t (z_t - p_{t-1})` is not too small for float32.

    ``weight_power`` is the ``weight_lr_power`` of the authors' package. Rates of 0 before the first positive one leave
    the parameters in place.

    With a lazy sparse gradient, entries that it does not touch keep :math:`p`, :math:`z` and :math:`v`: their average
    stays, too, and moves by the small :math:`c_t` of a late step when they are touched. With ``sparse="exact"`` it
    moves towards :math:`z` in every step, and :math:`v` decays.

    State: ``z`` and ``v``, and two numbers for the weights; 8 bytes per float32 parameter, twice that for float64.

    References
    ----------
    .. [1] A. Defazio et al., "The road less scheduled", NeurIPS 2024, arXiv:2405.15682.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.ScheduleFreeAdamW(x, learning_rate=0.1)
    >>> for _ in range(500):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(opt.solution()).max() < 1e-2)
    True
    """

    rule = "schedulefreeadamw"
    _decoupled_decay = r"Move z by :math:`-\eta_t'` ``* weight_decay * p`` instead, as in the formula."
    learning_rate = LearningRate(0.0025)
    beta_1 = Real(0.9, "(0, 1]")
    beta_2 = Real(0.999, "[0, 1)")
    epsilon = Real(1e-8, "[0, inf)")
    warmup_steps = Real(0.0, "[0, inf)")
    r = Real(0.0, "[0, inf)")
    weight_power = Real(2.0, "[0, inf)")
    decoupled_weight_decay = Flag(True, keyword_only=True)
