"""RowwiseAdam: hyper-parameters and documentation; the update itself is csrc/rules/rowwiseadam.c."""

from ._base import Optimizer
from ._hyperparameters import Flag, LearningRate, Real


class RowwiseAdam(Optimizer):
    r"""Adam with one second moment for each row, for tables of embeddings: little more than half the state.

    .. math::

        m_{ij,t} &= \beta_1 m_{ij,t-1} + (1 - \beta_1) g_{ij,t}, \quad
        v_{i,t} = \beta_2 v_{i,t-1} + (1 - \beta_2) \frac{1}{D} \sum_{j=1}^{D} g_{ij,t}^2, \\
        p_{ij,t} &= p_{ij,t-1} - \text{learning_rate} \frac{m_{ij,t} / (1 - \beta_1^t)}
        {\sqrt{v_{i,t} / (1 - \beta_2^t)} + \epsilon}

    A row is what one index of the first axis selects, D entries; of a vector, one entry: there it is Adam.

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
    <common parameters>

    Notes
    -----
    State: ``m`` of the shape of the parameter, and ``v`` of shape ``params.shape[:1]``; 4 bytes per float32 parameter
    and 4 per row, twice that for float64.

    A sparse gradient, with ``sparse="lazy"``, costs time proportional to the rows that it touches; one from
    `scipy.sparse` is taken by whole rows.

    References
    ----------
    .. [1] D. P. Kingma and J. Ba, "Adam: A method for stochastic optimization", ICLR 2015, arXiv:1412.6980.
    .. [2] D. Khudia et al., "FBGEMM: Enabling high-performance low-precision deep learning inference",
           arXiv:2101.05615 (2021); the partial row-wise Adam of the library.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> table = np.ones((1000, 64), np.float32)
    >>> opt = fastopt.RowwiseAdam(table, learning_rate=0.1)
    >>> opt.step(fastopt.RowSparse([3, 7], np.ones((2, 64), np.float32)))
    >>> opt.state["v"].shape
    (1000,)
    """

    rule = "rowwiseadam"
    learning_rate = LearningRate(0.001)
    beta_1 = Real(0.9, "[0, 1)")
    beta_2 = Real(0.999, "[0, 1)")
    epsilon = Real(1e-8, "[0, inf)")
    decoupled_weight_decay = Flag(True, keyword_only=True)
