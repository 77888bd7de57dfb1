"""Muon: hyper-parameters and documentation; the update itself is csrc/rules/muon.c."""

from ._base import Optimizer
from ._hyperparameters import Count, Flag, LearningRate, Real


class Muon(Optimizer):
    r"""Muon: momentum for matrices, made orthogonal.

    .. math::

        m_t &= \mu m_{t-1} + (1 - \mu) g, \quad
        X_0 = u / \max(\|u\|_F, \epsilon) \;\text{ of }\; u = (1 - \mu) g + \mu m_t \\
        X_k &= (a + b A + c A^2) X_{k-1} \;\text{ with }\; A = X_{k-1} X_{k-1}^T, \quad k = 1 \dots K \\
        p_t &= (1 - \text{learning_rate} \, \lambda) p_{t-1}
        - \text{learning_rate} \sqrt{\max(1, \text{rows} / \text{columns})} \, X_K

    The iteration takes the singular values of :math:`X` near to 1, which with the default coefficients means between
    about 0.7 and 1.2, and leaves the singular vectors alone. Of a matrix with more rows than columns :math:`A` is
    :math:`X^T X`, on the other side.

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Matrices, or stacks of them: with two axes at least, of which the last two make a matrix. Writable,
        C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=0.001
        Step size in [0, inf), or a callable that gives it for the step number t = 0, 1, 2, ...
    momentum : float, default=0.95
        :math:`\mu`, in [0, 1).
    nesterov : bool, default=True
        If False, :math:`u` is :math:`m_t`.
    match_rms_adamw : bool, default=False
        The factor of the learning rate is :math:`0.2 \sqrt{\max(\text{rows}, \text{columns})}` instead of that above:
        steps are about as large as those of `AdamW`, whose learning rate can be used.
    ns_steps : int, default=5
        :math:`K`, from 1 to 99.
    ns_a : float, default=3.4445
        :math:`a`.
    ns_b : float, default=-4.775
        :math:`b`.
    ns_c : float, default=2.0315
        :math:`c`. With 1.875, -1.25 and 0.375 the iteration converges, slowly, to singular values of 1.
    epsilon : float, default=1e-7
        Least norm that :math:`u` is divided by, in (0, inf); a normal number of the dtype, above 1e-38 of float32.
    <common parameters>

    Notes
    -----
    Vectors and scalars (biases, gains) are refused: give them, and the first and the last layer of a network, to
    another optimizer, such as `AdamW`. The kernel of a convolution is bound as the matrix
    ``kernel.reshape(len(kernel), -1)``.

    Products of matrices are taken in the dtype of the parameters, by the BLAS that SciPy brings; ``torch.optim.Muon``
    takes them in bfloat16. A step of a matrix whose shorter side is n, the longer one m, takes about K n^2 (3 m + n)
    multiplications, as of what is symmetric only one half is computed. That BLAS has threads of its own: `num_threads`
    governs the passes over entries alone. ``threadpoolctl.threadpool_limits`` governs both, the environment variable
    ``OPENBLAS_NUM_THREADS`` that of SciPy's wheels.

    The momentum has the same bits for any number of threads and any instruction set. The parameters have them as far as
    the products of BLAS have: with the same library, on the same kind of processor and with the same number of its
    threads.

    State: ``m``, 4 bytes per float32 parameter, twice that for float64. There is a workspace besides, twice the size of
    the largest matrix and twice that of the square of its shorter side.

    A sparse gradient means zeros elsewhere, with both values of `sparse`: a step is a pass over all entries.

    References
    ----------
    .. [1] K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024),
           https://kellerjordan.github.io/posts/muon/
    .. [2] J. Liu et al., "Muon is scalable for LLM training", arXiv:2502.16982 (2025): weight decay, and
           `match_rms_adamw`.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> weights = np.diag([3.0, -2.0])
    >>> opt = fastopt.Muon(weights, learning_rate=0.02, weight_decay=0.0)
    >>> for _ in range(300):
    ...     opt.step(2 * weights)          # gradient of the sum of squares
    >>> bool(np.abs(weights).max() < 0.05)
    True
    """

    rule = "muon"
    _takes_vectors = False
    learning_rate = LearningRate(0.001)
    momentum = Real(0.95, "[0, 1)")
    nesterov = Flag(True)
    match_rms_adamw = Flag(False)
    ns_steps = Count(5, 1, 99)
    ns_a = Real(3.4445, "(-inf, inf)")
    ns_b = Real(-4.775, "(-inf, inf)")
    ns_c = Real(2.0315, "(-inf, inf)")
    epsilon = Real(1e-7, "(0, inf)")
    weight_decay = Real(0.1, "[0, inf)", keyword_only=True)
    decoupled_weight_decay = Flag(True, keyword_only=True)
