"""COCOB: hyper-parameters and documentation; the update itself is csrc/rules/cocob.c."""

from ._base import Optimizer
from ._hyperparameters import LearningRate, Real


class COCOB(Optimizer):
    r"""COCOB-Backprop: each entry bets on the sign of its gradient, so that no learning rate need be found.

    With :math:`h_t = \eta_t g_t`:

    .. math::

        L_t &= \max(L_{t-1}, |h_t|), \qquad \theta_t = \theta_{t-1} - h_t, \qquad G_t = G_{t-1} + |h_t|, \\
        R_t &= \max(R_{t-1} - h_t (p_{t-1} - p_0), 0), \\
        p_t &= p_0 + \frac{\theta_t}{L_t \max(G_t + L_t, \alpha L_t)} (L_t + R_t)

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=1.0
        Weight of the gradient in [0, inf), or a callable that gives it for the step number t = 0, 1, 2, ... A number
        changes next to nothing, as bets do not depend on the scale of gradients; a schedule that falls lets later
        gradients count for less.
    alpha : float, default=100.0
        The first bets are 1 / `alpha` of the wealth, in [0, inf); roughly the number of steps of a warm-up.
    epsilon : float, default=1e-8
        Where :math:`L` starts, in [0, inf): gradients should be larger. 0 is the paper's.
    <common parameters>

    Notes
    -----
    The paper has no learning rate; its place in the gradient is optax's. :math:`p_0` is the parameter at construction.
    Each step computes the parameter from :math:`p_0` and the state. Decoupled weight decay would be undone by that, and
    is refused; what the caller writes into a parameter lasts until its next gradient, and counts in :math:`R`.

    A gradient of 0 changes neither parameter nor state, so that lazy sparse gradients are exact to the bit.

    State: ``theta``, ``G``, ``L``, ``R`` and ``p0``; 20 bytes per float32 parameter, twice that for float64. Steps only
    read ``p0``.

    References
    ----------
    .. [1] F. Orabona and T. Tommasi, "Training deep networks without learning rates through coin betting", NeurIPS
           2017, arXiv:1705.07795.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.COCOB(x)
    >>> for _ in range(1000):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(x).max() < 0.1)
    True
    """

    rule = "cocob"
    _no_decoupled_decay = ("whose parameters are recomputed from its state", "use `weight_decay` alone")
    learning_rate = LearningRate(1.0)
    alpha = Real(100.0, "[0, inf)")
    epsilon = Real(1e-8, "[0, inf)")
