"""RMSprop: hyper-parameters and documentation; the update itself is csrc/rules/rmsprop.c."""

from .. import _validation
from ._base import Optimizer
from ._hyperparameters import Flag, LearningRate, Real


class RMSprop(Optimizer):
    r"""RMSprop: the gradient over the root of its running mean square.

    .. math::

        s_t = \rho s_{t-1} + (1 - \rho) g_t^2,
        \qquad p_t = p_{t-1} - \eta_t \frac{g_t}{\sqrt{s_t + \epsilon_r} + \epsilon}

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=0.001
        Step size in [0, inf), or a callable that gives it for the step number t = 0, 1, 2, ...
    rho : float, default=0.9
        Decay of the mean square per step, in [0, 1).
    epsilon : float, default=1e-7
        Added to the root in the denominator, in [0, inf).
    momentum : float, default=0.0
        Share of a velocity of such steps that is kept, in [0, 1). With 0 there is no velocity.
    centered : bool, default=False
        Divide by an estimate of the standard deviation: the square of the running mean is subtracted
        from :math:`s`. The difference is limited to 0 from below. It has to be exact: not with
        `state_dtype` "bfloat16" or "log8".
    epsilon_root : float, default=0.0
        Added inside the root, in [0, inf).
    scaled_velocity : bool, default=True
        As for `SGD`.
    <common parameters>

    Notes
    -----
    State: ``mean_square``, with `centered` also ``mean_grad``, with momentum also ``velocity``; 4 to 12 bytes per
    float32 parameter, twice that for float64.

    References
    ----------
    .. [1] T. Tieleman and G. Hinton, "Lecture 6.5: rmsprop", Neural Networks for Machine Learning (2012).
    .. [2] A. Graves, "Generating sequences with recurrent neural networks", arXiv:1308.0850 (2013).

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.RMSprop(x, learning_rate=0.02)
    >>> for _ in range(500):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(x).max() < 1e-2)
    True
    """

    rule = "rmsprop"
    learning_rate = LearningRate(0.001)
    rho = Real(0.9, "[0, 1)")
    epsilon = Real(1e-7, "[0, inf)")
    momentum = Real(0.0, "[0, 1)")
    centered = Flag(False)
    epsilon_root = Real(0.0, "[0, inf)")
    scaled_velocity = Flag(True)
    _check_combination = staticmethod(_validation.storages.no_codes_when_centered)
