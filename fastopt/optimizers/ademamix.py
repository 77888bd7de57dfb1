"""AdEMAMix: hyper-parameters and documentation; the update itself is csrc/rules/ademamix.c."""

from ._base import Optimizer
from ._hyperparameters import Flag, LearningRate, Real


class AdEMAMix(Optimizer):
    r"""AdEMAMix: Adam with a second, slow mean of the gradient beside the fast one.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad s_t = \beta_3 s_{t-1} + (1 - \beta_3) g_t,
        \qquad v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2, \\
        p_t &= p_{t-1} - \eta_t \frac{m_t / (1 - \beta_1^t) + \alpha s_t}{\sqrt{v_t / (1 - \beta_2^t) + \epsilon_r}
        + \epsilon}

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=0.001
        Step size in [0, inf), or a callable that gives it for the step number t = 0, 1, 2, ...
    beta_1 : float, default=0.9
        Decay of the fast mean per step, in [0, 1).
    beta_2 : float, default=0.999
        Decay of the second moment per step, in [0, 1).
    beta_3 : float, default=0.9999
        Decay of the slow mean per step, in [0, 1).
    alpha : float, default=5.0
        Weight of the slow mean, in [0, inf).
    warmup_steps : float, default=0.0
        Number of steps in which `alpha` rises from 0 and `beta_3` from `beta_1`, in [0, inf); 0: none. The paper takes
        the length of the run.
    epsilon : float, default=1e-8
        Added to the root in the denominator, in [0, inf).
    epsilon_root : float, default=0.0
        Added inside the root, in [0, inf).
    <common parameters>

    Notes
    -----
    The slow mean starts at 0 and is not corrected for it, so that it comes in gradually. In the warm-up of
    :math:`T` steps, :math:`\alpha_t = \alpha t / T` and

    .. math::

        \beta_{3, t} = \exp \frac{\log \beta_1 \log \beta_3}{(1 - t / T) \log \beta_3 + (t / T) \log \beta_1},

    but at most :math:`\beta_3`: the half-life of the mean rises on a line. Weight decay is decoupled by default, as in
    the paper.

    With lazy sparse gradients an untouched entry keeps its means and does not move; the warm-up counts all steps.

    State: ``m``, ``m_slow`` and ``v``; 12 bytes per float32 parameter, twice that for float64.

    References
    ----------
    .. [1] M. Pagliardini, P. Ablin and D. Grangier, "The AdEMAMix optimizer: better, faster, older", ICLR 2025,
           arXiv:2409.03137.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.AdEMAMix(x, learning_rate=0.1, beta_3=0.99)
    >>> for _ in range(1000):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(x).max() < 1e-2)
    True
    """

    rule = "ademamix"
    learning_rate = LearningRate(0.001)
    beta_1 = Real(0.9, "[0, 1)")
    beta_2 = Real(0.999, "[0, 1)")
    beta_3 = Real(0.9999, "[0, 1)")
    alpha = Real(5.0, "[0, inf)")
    warmup_steps = Real(0.0, "[0, inf)")
    epsilon = Real(1e-8, "[0, inf)")
    epsilon_root = Real(0.0, "[0, inf)")
    decoupled_weight_decay = Flag(True, keyword_only=True)
