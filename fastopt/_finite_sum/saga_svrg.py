"""SVRG and SAGA: variance-reduced methods for finite sums; their steps are in csrc/finite_sum/saga_svrg_tmpl.h."""

from __future__ import annotations

from .._validation import saved_runs
from .method import FiniteSumMethod

#: Names of the state in checkpoints of versions before 0.2 -> present names.
FORMER_NAMES = {"table": "gradient_memory", "mean": "mean_gradient"}


class VarianceReduced(FiniteSumMethod):
    """Base of both."""

    updates_memory = None
    former_names = FORMER_NAMES
    _abstract = True

    def _state_schema(self, n_samples, n_outputs):
        return {
            "gradient_memory": saved_runs.array(self.params.dtype, (n_samples, n_outputs)),
            "mean_gradient": saved_runs.array(self.params.dtype, self.params.shape),
        }


class SAGA(VarianceReduced):
    r"""SAGA: gradients of single samples, less those in a gradient memory, plus their mean.

    .. math::

        p &\leftarrow \mathrm{soft}\left((1 - \eta \lambda_2) p - \eta \left[(d_i - t_i) x_i + m\right],
        \eta \lambda_1\right), \\
        m &\leftarrow m + (d_i - t_i) x_i / n, \qquad t_i \leftarrow d_i

    with the derivatives :math:`d_i` of the loss by the margin, the gradient memory :math:`t`, which holds the last
    derivative of each sample, and the mean gradient :math:`m` of the memory. :math:`\mathrm{soft}` moves each entry
    towards zero by its second argument, at most to zero, and :math:`\lambda_1, \lambda_2` are the objective's ``l1``
    and ``l2``. Converges linearly at a constant rate where the objective is strongly convex.

    Parameters
    ----------
    params : ndarray
        The parameters of the objective.
    learning_rate : float or callable, optional
        In (0, inf), or a schedule: a callable that gives it for the step number t = 0, 1, 2, ... and is asked at the
        start of each epoch. By default ``1 / (2 * objective.max_smoothness)``, which is constant.
    num_threads : int, optional
        Most threads to use for passes over all samples; the steps themselves use one.

    Notes
    -----
    Needs an objective of `fastopt.objectives`, and goes through the samples one by one, each epoch in another order.
    State: one number per sample and output, and a gradient. On CSR data a step takes time proportional to the
    entries of the sample, penalties included. A pass over all samples fills the gradient memory at the start.

    References
    ----------
    .. [1] A. Defazio, F. Bach and S. Lacoste-Julien, "SAGA: a fast incremental gradient method with support for
           non-strongly convex composite objectives", NIPS 2014.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> X = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    >>> objective = fastopt.objectives.LeastSquares(X, [1.0, 2.0, 2.0])
    >>> res = fastopt.minimize(objective, [0.0, 0.0], method="saga", options={"epochs": 300}, rng=0)
    >>> res.x.round(6)
    array([1., 1.])
    """

    updates_memory, rate_share = True, 0.5


class SVRG(VarianceReduced):
    r"""SVRG: gradients of single samples, less those at the start of the epoch, plus their mean.

    .. math::

        p \leftarrow \mathrm{soft}\left((1 - \eta \lambda_2) p - \eta \left[(d_i - \tilde d_i) x_i + \tilde m\right],
        \eta \lambda_1\right)

    with the derivatives :math:`\tilde d_i` and their mean gradient :math:`\tilde m` at the parameters with which the
    epoch began, and otherwise as for `SAGA`. An epoch is a pass over all samples, on all cores, and one step for each.

    Parameters
    ----------
    params : ndarray
        The parameters of the objective.
    learning_rate : float or callable, optional
        In (0, inf), or a schedule: a callable that gives it for the step number t = 0, 1, 2, ... and is asked at the
        start of each epoch. By default ``1 / objective.max_smoothness``, which is constant.
    num_threads : int, optional
        Most threads to use for passes over all samples; the steps themselves use one.

    Notes
    -----
    Needs an objective of `fastopt.objectives`. State: one number per sample and output, and a gradient. On CSR data a
    step takes time proportional to the entries of the sample, penalties included.

    References
    ----------
    .. [1] R. Johnson and T. Zhang, "Accelerating stochastic gradient descent using predictive variance reduction",
           NIPS 2013.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> X = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    >>> objective = fastopt.objectives.LeastSquares(X, [1.0, 2.0, 2.0])
    >>> res = fastopt.minimize(objective, [0.0, 0.0], method="svrg", options={"epochs": 300}, rng=0)
    >>> res.x.round(6)
    array([1., 1.])
    """

    updates_memory, rate_share = False, 1.0
