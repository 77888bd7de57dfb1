"""SGD: hyper-parameters and documentation; the update itself is csrc/rules/sgd.c."""

from .. import _validation
from ._base import Optimizer
from ._hyperparameters import Flag, LearningRate, Real


class SGD(Optimizer):
    r"""Stochastic gradient descent, with momentum and Nesterov's look-ahead.

    .. math::

        u_t = \mu u_{t-1} + \eta_t g_t, \qquad p_t = p_{t-1} - u_t

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=0.01
        Step size in [0, inf), or a callable that gives it for the step number t = 0, 1, 2, ...
    momentum : float, default=0.0
        Share :math:`\mu` of the velocity that is kept, in [0, 1). With 0 there is no velocity.
    nesterov : bool, default=False
        Step by :math:`\mu u_t + \eta_t g_t` instead; needs momentum.
    dampening : float, default=0.0
        The gradient enters the velocity times ``1 - dampening``, from the second step on; in [0, 1].
    scaled_velocity : bool, default=True
        Whether the learning rate is inside the velocity, as in the papers and Keras. False: the velocity sums
        bare gradients and the rate multiplies it when it is used, as in torch. The two differ only while the
        rate changes.
    <common parameters>

    Notes
    -----
    State: none, or with momentum ``velocity``; 0 or 4 bytes per float32 parameter, twice that for float64.

    References
    ----------
    .. [1] H. Robbins and S. Monro, "A stochastic approximation method", Ann. Math. Statist. 22 (1951).
    .. [2] B. T. Polyak, "Some methods of speeding up the convergence of iteration methods", USSR Comput. Math.
           Math. Phys. 4 (1964).
    .. [3] I. Sutskever, J. Martens, G. Dahl and G. Hinton, "On the importance of initialization and momentum in
           deep learning", ICML 2013.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.SGD(x, learning_rate=0.05, momentum=0.9)
    >>> for _ in range(500):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(x).max() < 1e-2)
    True
    """

    rule = "sgd"
    _penalty = "proximal"
    learning_rate = LearningRate(0.01)
    momentum = Real(0.0, "[0, 1)")
    nesterov = Flag(False)
    dampening = Real(0.0, "[0, 1]")
    scaled_velocity = Flag(True)
    _check_combination = staticmethod(_validation.optimizers.no_nesterov_without_momentum)

    @property
    def _step_gain(self):
        return (1.0 - self.dampening) / (1.0 - self.momentum) if self.momentum else 1.0
