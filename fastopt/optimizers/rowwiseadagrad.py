"""RowwiseAdagrad: hyper-parameters and documentation; the update itself is csrc/rules/rowwiseadagrad.c."""

from ._base import Optimizer
from ._hyperparameters import LearningRate, Real


class RowwiseAdagrad(Optimizer):
    r"""Adagrad with one accumulator for each row, for tables of embeddings: its state is as many times smaller.

    .. math::

        h_{i,t} = h_{i,t-1} + \frac{1}{D} \sum_{j=1}^{D} g_{ij,t}^2, \quad
        p_{ij,t} = p_{ij,t-1} - \frac{\text{learning_rate}}{\sqrt{h_{i,t}} + \epsilon} g_{ij,t}

    A row is what one index of the first axis selects, D entries; of a vector, one entry: there it is Adagrad.

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=0.01
        Step size in [0, inf), or a callable that gives it for the step number t = 0, 1, 2, ...
    initial_accumulator_value : float, default=0.0
        First value of :math:`h`, in [0, inf).
    epsilon : float, default=1e-8
        Added to the root in the denominator, in [0, inf).
    <common parameters>

    Notes
    -----
    State: ``accumulator``, of shape ``params.shape[:1]``; 4 bytes per row of float32 parameters, 8 of float64.

    A sparse gradient costs time proportional to the rows that it touches; one from `scipy.sparse` is taken by whole
    rows.

    References
    ----------
    .. [1] J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods for online learning and stochastic
           optimization", JMLR 12 (2011).
    .. [2] D. Mudigere et al., "Software-hardware co-design for fast and scalable training of deep learning
           recommendation models", ISCA 2022, arXiv:2104.05158.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> table = np.ones((1000, 64), np.float32)
    >>> opt = fastopt.RowwiseAdagrad(table, learning_rate=0.1)
    >>> opt.step(fastopt.RowSparse([3, 7], np.ones((2, 64), np.float32)))
    >>> opt.state["accumulator"].shape
    (1000,)
    """

    rule = "rowwiseadagrad"
    learning_rate = LearningRate(0.01)
    initial_accumulator_value = Real(0.0, "[0, inf)", initial=True)
    epsilon = Real(1e-8, "[0, inf)")
