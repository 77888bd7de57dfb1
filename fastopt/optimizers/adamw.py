"""AdamW: hyper-parameters and documentation; the update itself is csrc/rules/adam.c."""

from ._hyperparameters import Flag, Real
from .adam import Adam


class AdamW(Adam):
    r"""AdamW: Adam with decoupled weight decay.

    .. math::

        p_t = (1 - \eta_t \lambda) p_{t-1} - \eta_t \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t) +
        \epsilon_r} + \epsilon}

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=0.001
        Step size in [0, inf), or a callable that gives it for the step number t = 0, 1, 2, ...
    beta_1 : float, default=0.9
        Decay of the first moment per step, in [0, 1).
    beta_2 : float, default=0.999
        Decay of the second moment per step, in [0, 1).
    epsilon : float, default=1e-8
        Added to the root in the denominator, in [0, inf).
    amsgrad : bool, default=False
        As for `Adam`.
    epsilon_root : float, default=0.0
        Added inside the root, in [0, inf).
    epsilon_hat : bool, default=False
        As for `Adam`.
    <common parameters>

    Notes
    -----
    The decay :math:`\lambda` is multiplied by the learning rate, as in torch, Keras and optax; the paper multiplies
    it by the schedule alone. State as for `Adam`.

    References
    ----------
    .. [1] I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019, arXiv:1711.05101.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.AdamW(x, learning_rate=0.1)
    >>> for _ in range(500):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(x).max() < 1e-2)
    True
    """

    weight_decay = Real(0.01, "[0, inf)", keyword_only=True)
    decoupled_weight_decay = Flag(True, keyword_only=True)
