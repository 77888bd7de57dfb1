"""Prodigy: hyper-parameters and documentation; the update itself is csrc/rules/prodigy.c."""

from ._base import Optimizer
from ._hyperparameters import Flag, LearningRate, Real


class Prodigy(Optimizer):
    r"""Prodigy: Adam that finds its learning rate, as an estimate d of the distance from start to solution.

    .. math::

        \eta_t &= d_t \cdot \text{learning_rate}, \quad
        m_t = \beta_1 m_{t-1} + (1 - \beta_1) d_t g_t, \quad v_t = \beta_2 v_{t-1} + (1 - \beta_2) d_t^2 g_t^2, \\
        r_t &= \beta_3 r_{t-1} + \tfrac{d_t}{d_1} \eta_t \langle g_t, p_1 - p_t \rangle, \quad
        s_t = \beta_3 s_{t-1} + \tfrac{d_t}{d_1} \eta_t g_t, \\
        p_{t+1} &= p_t - \eta_t \frac{m_t}{\sqrt{v_t} + d_t \epsilon}, \quad
        d_{t+1} = \max\left(d_t, c \, \frac{r_t}{\|s_t\|_1}\right)

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=1.0
        Factor of d in [0, inf), or a callable that gives it for the step number t = 0, 1, 2, ...: best 1, or a
        schedule that falls from 1 to 0.
    beta_1 : float, default=0.9
        Decay of the first moment per step, in [0, 1).
    beta_2 : float, default=0.999
        Decay of the second moment per step, in [0, 1).
    beta_3 : float, optional
        Decay of the two sums of which d is the ratio, in [0, 1); by default the root of `beta_2`.
    epsilon : float, default=1e-8
        Times d it is added to the root in the denominator; in [0, inf).
    d0 : float, default=1e-6
        The first d, in (0, inf): it should be smaller than the distance, however much as long as `d0` times `epsilon`
        is a normal number of the dtype, above 1e-38 of float32.
    d_coef : float, default=1.0
        :math:`c`, in (0, inf): of all hyper-parameters the one to change, if any, as it makes d larger or smaller.
    growth_rate : float, default=inf
        Most by which d is multiplied from one step to the next, in [1, inf], once it has left `d0`.
    use_bias_correction : bool, default=False
        Correct the bias of both moments, as in Adam: :math:`\eta_t` is multiplied by
        :math:`\sqrt{1 - \beta_2^t} / (1 - \beta_1^t)`.
    safeguard_warmup : bool, default=False
        Leave the learning rate out of :math:`s_t`, so that a warm-up does not make d too large.
    <common parameters>

    Notes
    -----
    ``opt.d`` is the d of the last step, and `d0` before the first one. Sums are over all arrays, and taken as a
    step goes, for the next one, so a step reads and writes nothing twice. The reference, of which the
    hyper-parameters are, has :math:`d_{t+1}` in the place of :math:`d_t` in :math:`d_t \epsilon`, to the same effect
    where gradients are larger than `epsilon`. Decoupled weight decay multiplies the parameter by
    :math:`1 - \eta_t \cdot` `weight_decay`, with the d in it. State: ``m``, ``v``, ``s`` and ``p0``, the starting
    point; 16 bytes per float32 parameter, twice that for float64; and for each array, of the last step, ``progress``,
    which is :math:`\langle g, p_1 - p \rangle`, and ``s_norm``, as they are and with two scales for where a double
    overflows or vanishes. A sparse gradient means zeros elsewhere, with both values of `sparse`: a step is a pass over
    all entries.

    References
    ----------
    .. [1] K. Mishchenko and A. Defazio, "Prodigy: An expeditiously adaptive parameter-free learner", ICML 2024,
           arXiv:2306.06101. The reference is ``ProdigyReference`` of the package prodigyopt.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.Prodigy(x)
    >>> for _ in range(500):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(x).max() < 1e-2)
    True
    >>> 0.1 < opt.d < 10
    True
    """

    rule = "prodigy"
    _decoupled_decay = r"Multiply the parameter by :math:`1 - \eta_t \cdot` `weight_decay` before the update instead."
    learning_rate = LearningRate(1.0)
    beta_1 = Real(0.9, "[0, 1)")
    beta_2 = Real(0.999, "[0, 1)")
    beta_3 = Real(None, "[0, 1)")
    epsilon = Real(1e-8, "[0, inf)")
    d0 = Real(1e-6, "(0, inf)")
    d_coef = Real(1.0, "(0, inf)")
    growth_rate = Real(float("inf"), "[1, inf]")
    use_bias_correction = Flag(False)
    safeguard_warmup = Flag(False)
    decoupled_weight_decay = Flag(True, keyword_only=True)

    @property
    def d(self) -> float:
        """The estimate of the distance from start to solution that the last step was made with."""
        return self._carry["d"] or self.d0
