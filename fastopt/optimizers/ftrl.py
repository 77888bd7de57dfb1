"""FTRL: hyper-parameters and documentation; the update itself is csrc/rules/ftrl.c."""

from ._base import Optimizer
from ._hyperparameters import LearningRate, Real


class FTRL(Optimizer):
    r"""FTRL-Proximal: follow the regularised leader, with exact zeros from l1.

    .. math::

        \sigma_t &= \frac{\sqrt{n_t} - \sqrt{n_{t-1}}}{\eta_t}, \quad n_t = n_{t-1} + g_t^2,
        \quad z_t = z_{t-1} + g_t - \sigma_t p_{t-1}, \\
        p_t &= 0 \text{ where } |z_t| \le \lambda_1, \text{ else } -\frac{z_t - \lambda_1 \mathrm{sign}(z_t)}{(\beta
        + \sqrt{n_t}) / \eta_t + \lambda_2}

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=0.001
        Step size in (0, inf), or a callable that gives it for the step number t = 0, 1, 2, ...
    initial_accumulator_value : float, default=0.1
        Where :math:`n` starts, in [0, inf).
    l1 : float, default=0.0
        :math:`\lambda_1`, in [0, inf).
    l2 : float, default=0.0
        :math:`\lambda_2`, in [0, inf); half of it in Keras's terms.
    beta : float, default=0.0
        Offset of the root, in [0, inf).
    <common parameters>

    Notes
    -----
    The paper starts :math:`z` at 0, which discards a non-zero starting point. Here it starts where the
    parameters are the minimiser, so that a zero gradient leaves them in place, to rounding.

    The learning rate should be constant, as it is in the paper. Each step computes :math:`p` from :math:`z` with its
    own rate, but :math:`z` was summed up with the rates of the steps before. A rate that changes therefore moves every
    parameter, also where the gradient is zero: without `l2` it multiplies them all by
    :math:`\eta_t / \eta_{t-1}`, and a schedule that falls to 0 takes them to 0. TensorFlow and Keras do the same. The
    steps shrink by themselves, as :math:`n` grows. If the rate must change, set ``state["z"]`` anew wherever
    :math:`p \ne 0`, to :math:`-p ((\beta + \sqrt n) / \eta + \lambda_2) - \lambda_1 \mathrm{sign}(p)` with the new
    :math:`\eta`, which is also where it starts.

    State: ``z`` and ``n``; 8 bytes per float32 parameter, twice that for float64.

    References
    ----------
    .. [1] H. B. McMahan et al., "Ad click prediction: a view from the trenches", KDD 2013.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.FTRL(x, learning_rate=1.0)
    >>> for _ in range(500):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(x).max() < 1e-2)
    True
    """

    rule = "ftrl"
    _no_decoupled_decay = ("whose parameters are recomputed from its state", "use `l2`")
    _penalty = "closed_form"
    learning_rate = LearningRate(0.001, "(0, inf)")
    initial_accumulator_value = Real(0.1, "[0, inf)")
    l1 = Real(0.0, "[0, inf)")
    l2 = Real(0.0, "[0, inf)")
    beta = Real(0.0, "[0, inf)")
