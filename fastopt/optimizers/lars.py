"""LARS: hyper-parameters and documentation; the update itself is csrc/rules/lars.c."""

from .. import _validation
from ._base import Optimizer
from ._hyperparameters import Flag, LearningRate, Real


class LARS(Optimizer):
    r"""LARS: SGD with momentum, whose rate each array scales by its own norm and that of its gradient.

    .. math::

        \eta_t = \text{learning_rate} \cdot \tau \frac{\|p\|}{\|g\| + \lambda \|p\| + \epsilon}, \quad
        v_t = \mu v_{t-1} + \eta_t (g + \lambda p_{t-1}), \quad p_t = p_{t-1} - v_t

    An array that is zero, or whose gradient is, takes the learning rate as it is.

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=1.0
        Step size in [0, inf), or a callable that gives it for the step number t = 0, 1, 2, ...
    momentum : float, default=0.9
        :math:`\mu`, in [0, 1).
    nesterov : bool, default=False
        Step by :math:`\mu v_t + \eta_t (g + \lambda p)` instead of :math:`v_t`; needs `momentum`.
    trust_coefficient : float, default=0.001
        :math:`\tau`, in (0, inf).
    epsilon : float, default=0.0
        In [0, inf).
    <common parameters>

    Notes
    -----
    Norms are those of each array in `params`, of the gradient after clipping; `weight_decay` is :math:`\lambda`, in
    the norm as well as in the step. They take one more read of parameters and gradient. State: ``velocity``; 4 bytes
    per float32 parameter, twice that for float64.

    References
    ----------
    .. [1] Y. You, I. Gitman and B. Ginsburg, "Large batch training of convolutional networks", arXiv:1708.03888
           (2017).

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.LARS(x, learning_rate=10.0)
    >>> for _ in range(500):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(x).max() < 0.1)
    True
    """

    rule = "lars"
    _coupled_decay = "``weight_decay * p`` is added to the gradient, and its norm to that of the gradient."
    _no_decoupled_decay = ("in whose formula it has no place", "use `weight_decay` alone")
    learning_rate = LearningRate(1.0)
    momentum = Real(0.9, "[0, 1)")
    nesterov = Flag(False)
    trust_coefficient = Real(0.001, "(0, inf)")
    epsilon = Real(0.0, "[0, inf)")

    @staticmethod
    def _check_combination(values):
        _validation.optimizers.no_nesterov_without_momentum(values)
