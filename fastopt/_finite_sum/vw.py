"""VW: the update of Vowpal Wabbit; its steps are in csrc/finite_sum/vw_tmpl.h."""

from __future__ import annotations

from .._validation import saved_runs
from .method import AutomaticRate, FiniteSumMethod


class VW(FiniteSumMethod):
    r"""The normalised, adaptive and invariant update of Vowpal Wabbit, for features of any scale.

    For a sample with margin :math:`z`, label :math:`y`, weight :math:`h` and derivative :math:`d` of the loss by the
    margin, and each feature :math:`x_j`, after :math:`s_j` became the larger one of itself and :math:`|x_j|`, and
    :math:`p_j` was multiplied by the former :math:`s_j` over the new one:

    .. math::

        \begin{aligned}
        a_j &\leftarrow a_j + h d^2 x_j^2, \qquad r_j = \frac{k}{\sqrt{a_j}\, s_j}, \qquad
        k = \sqrt{\frac{\sum h}{\sum h \sum_j (x_j / s_j)^2}}, \\
        p_j &\leftarrow p_j + \frac{m}{\sum_i r_i x_i^2}\, r_j x_j,
        \end{aligned}

    where the sums in :math:`k` are over the samples so far, and :math:`m` is how far the margin goes along
    :math:`\dot z = -\ell'(z, y)` from :math:`z` in the time :math:`\eta h \sum_i r_i x_i^2`: the limit of many short
    steps, which does not go past the minimum of the sample's loss. Samples whose derivative is 0 change nothing.
    Columns of X that are multiplied by constants give the same predictions.

    Parameters
    ----------
    params : ndarray
        The parameters of the objective.
    learning_rate : float or callable, optional
        In (0, inf), or a schedule: a callable that gives it for the step number t = 0, 1, 2, ... and is asked at the
        start of each epoch. By default 0.5, as in Vowpal Wabbit.
    num_threads : int, optional
        Most threads to use for passes over all samples; the steps themselves use one.

    Notes
    -----
    Needs an objective of `fastopt.objectives` other than `Softmax`, without a `linear` part, and goes through the
    samples one by one, each epoch in another order. State: two numbers per parameter, ``accumulator`` (a in units in
    which features are at most 1) and ``scale`` (s), and for each output the two sums in k, ``weight_sum`` and
    ``norm_sum``. On CSR data a step takes time proportional to the entries of the sample, penalties included.

    m has a closed form for all losses but `Tweedie`, for which it is that of the implicit step,
    :math:`m = -\eta h \sum_i r_i x_i^2\, \ell'(z + m, y)`. Labels of `LeastSquares` give the steps of Vowpal Wabbit's
    squared loss at the same learning rate, though that is twice as large.

    The objective's ``l2`` and ``l1`` shrink each parameter at its own rate: after each step it follows
    :math:`\dot p = -\lambda_2 p - \lambda_1 \operatorname{sign} p` for the time :math:`\eta r_j / s_j`, so that the
    minimum is that of the objective. (Vowpal Wabbit shrinks all of them alike.) A penalty is on parameters in the units
    of the columns: with one, the scale of a column matters.

    References
    ----------
    .. [1] S. Ross, P. Mineiro and J. Langford, "Normalized online learning", UAI 2013.
    .. [2] N. Karampatziakis and J. Langford, "Online importance weight aware updates", UAI 2011.
    .. [3] J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods for online learning and stochastic
           optimization", JMLR 12, 2011.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> X = np.array([[1.0, 0.0], [0.0, 2000.0], [1.0, 1000.0]])
    >>> objective = fastopt.objectives.LeastSquares(X, [1.0, 2.0, 2.0])
    >>> res = fastopt.minimize(objective, [0.0, 0.0], method="vw", options={"epochs": 300}, rng=0)
    >>> (res.x * [1, 1000]).round(3)
    array([1., 1.])
    """

    learning_rate = AutomaticRate(0.5)

    def _state_schema(self, n_samples, n_outputs):
        like_params = saved_runs.array(self.params.dtype, self.params.shape, "[0, inf)")
        of_outputs = saved_runs.array("float64", (n_outputs,), "[0, inf)")
        arrays = {name: like_params for name in ("accumulator", "scale")}
        return arrays | {name: of_outputs for name in ("weight_sum", "norm_sum")}
