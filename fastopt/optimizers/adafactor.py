"""Adafactor: hyper-parameters and documentation; the update itself is csrc/rules/adafactor.c."""

from ._base import Optimizer
from ._hyperparameters import Flag, LearningRate, Real


class Adafactor(Optimizer):
    r"""Adafactor: adaptive steps for matrices, with a second moment for each row and each column only.

    For a matrix, with :math:`o_t = t^{\gamma}` and the rate
    :math:`\alpha_t = \max(\epsilon_2, \text{rms}(p_{t-1})) \min(\text{learning_rate}, 1 / \sqrt{t})`:

    .. math::

        r_{i,t} &= r_{i,t-1} + o_t (\text{mean}_j \, g_{ij}^2 - r_{i,t-1}), \quad
        c_{j,t} = c_{j,t-1} + o_t (\text{mean}_i \, g_{ij}^2 - c_{j,t-1}) \\
        u_{ij} &= g_{ij} \Big/ \sqrt{\max(r_{i,t} c_{j,t} / \max(\text{mean}_k \, r_{k,t}, \epsilon_1),
        \epsilon_1^2)} \\
        p_t &= (1 - \text{learning_rate} \, \lambda) p_{t-1} - \alpha_t u / \max(1, \text{rms}(u) / d)

    Vectors have a moment for each entry, :math:`c`, in the place of :math:`r_i c_j / \text{mean}(r)`.

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=0.01
        Largest step relative to the parameters, in [0, inf), or a callable that gives it for the step number t = 0,
        1, 2, ...
    beta_2_decay : float, default=-0.8
        :math:`\gamma`, in (-inf, 0]: how the second moments weigh step t.
    epsilon_1 : float, optional
        Keeps the second moments from zero, in (0, inf); by default the machine epsilon of the dtype.
    epsilon_2 : float, default=0.001
        Least size of the parameters that steps are relative to, in [0, inf).
    clip_threshold : float, default=1.0
        :math:`d`, in (0, inf): the step is scaled such that its root mean square is this at most.
    <common parameters>

    Notes
    -----
    The form of ``torch.optim.Adafactor``, which has no momentum, and limits the relative step by `learning_rate`. Root
    mean squares are those of each array in `params`. The last two axes of an array make a matrix; with more axes it
    is a stack of them, each with moments of its own.

    State: ``row_v`` of shape ``(..., rows)`` and ``column_v`` of shape ``(..., columns)``; of a vector ``column_v``
    has its shape, and ``row_v`` is one number. There is a workspace besides: at most a double for each row per 2,048
    columns, and for each column per 1/64 of the rows.

    A step reads gradient and parameters three times, a gradient that is not C-contiguous through a small buffer. A
    sparse gradient means zeros elsewhere, with both values of `sparse`: a step is a pass over all entries.

    References
    ----------
    .. [1] N. Shazeer and M. Stern, "Adafactor: adaptive learning rates with sublinear memory cost", ICML 2018,
           arXiv:1804.04235.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> weights = np.ones((300, 200), np.float32)
    >>> opt = fastopt.Adafactor(weights)
    >>> opt.step(np.ones_like(weights))
    >>> opt.state["row_v"].shape, opt.state["column_v"].shape
    ((300,), (200,))
    """

    rule = "adafactor"
    learning_rate = LearningRate(0.01)
    beta_2_decay = Real(-0.8, "(-inf, 0]")
    epsilon_1 = Real(None, "(0, inf)")
    epsilon_2 = Real(0.001, "[0, inf)")
    clip_threshold = Real(1.0, "(0, inf)")
    decoupled_weight_decay = Flag(True, keyword_only=True)
