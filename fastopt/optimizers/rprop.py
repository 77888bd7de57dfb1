"""Rprop: hyper-parameters and documentation; the update itself is csrc/rules/rprop.c."""

from .. import _validation
from ._base import Optimizer
from ._hyperparameters import LearningRate, Real


class Rprop(Optimizer):
    r"""Rprop: a step size per entry that follows the sign of the gradient only.

    .. math::

        p_t = p_{t-1} - \mathrm{sign}(g_t)\,s_t, \qquad s_t = s_{t-1} \cdot \{\eta^+ \text{ or } \eta^-\}

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=0.01
        Where the step sizes start, in [0, inf); without effect later.
    eta_minus : float, default=0.5
        Factor of the step size after a change of sign, in (0, 1).
    eta_plus : float, default=1.2
        Factor of the step size while the sign stays, in (1, inf).
    step_min : float, default=1e-6
        Smallest step size, in [0, inf).
    step_max : float, default=50.0
        Largest step size, in (0, inf).
    <common parameters>

    Notes
    -----
    For full-batch gradients: the sign of a mini-batch gradient flips by chance. This is the form iRprop- of [2]_:
    after a change of sign the entry stays as it is for one step. State: ``prev_grad`` and ``step_size``; 8 bytes per
    float32 parameter, twice that for float64.

    References
    ----------
    .. [1] M. Riedmiller and H. Braun, "A direct adaptive method for faster backpropagation learning: the RPROP
           algorithm", ICNN 1993.
    .. [2] C. Igel and M. Huesken, "Improving the Rprop learning algorithm", NC 2000.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.Rprop(x)
    >>> for _ in range(500):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(x).max() < 1e-2)
    True
    """

    rule = "rprop"
    learning_rate = LearningRate(0.01)
    eta_minus = Real(0.5, "(0, 1)")
    eta_plus = Real(1.2, "(1, inf)")
    step_min = Real(1e-6, "[0, inf)")
    step_max = Real(50.0, "(0, inf)")
    _check_combination = staticmethod(_validation.optimizers.ordered_steps)
