"""ASGD: hyper-parameters and documentation; the update itself is csrc/rules/asgd.c."""

import numpy as np

from ._base import Optimizer
from ._hyperparameters import LearningRate, Real


class ASGD(Optimizer):
    r"""ASGD: stochastic gradient descent that also keeps the average of its iterates.

    .. math::

        \eta'_t &= \frac{\eta_t}{(1 + \lambda \eta_t (t - 1))^\alpha},
        \quad p_t = (1 - \lambda \eta'_t) p_{t-1} - \eta'_t g_t, \\
        a_t &= (1 - \mu_t) a_{t-1} + \mu_t p_t, \quad \mu_t = \frac{1}{\max(1, t - 1 - t_0)}

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=0.01
        Step size in [0, inf), or a callable that gives it for the step number t = 0, 1, 2, ...
    lambd : float, default=1e-4
        :math:`\lambda`, decay of the parameters and of the rate, in [0, inf).
    alpha : float, default=0.75
        Power of the decay of the rate, in [0, inf).
    t0 : float, default=1e6
        Step from which the average is taken; before, it is the parameter itself; in [0, inf).
    <common parameters>

    Notes
    -----
    The average is what `solution` returns. State: ``average``; 4 bytes per float32 parameter, twice that for float64.

    References
    ----------
    .. [1] B. T. Polyak and A. B. Juditsky, "Acceleration of stochastic approximation by averaging", SIAM J.
           Control Optim. 30 (1992).

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.ASGD(x, learning_rate=0.1)
    >>> for _ in range(500):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(x).max() < 1e-2)
    True
    """

    rule = "asgd"
    learning_rate = LearningRate(0.01)
    lambd = Real(1e-4, "[0, inf)")
    alpha = Real(0.75, "[0, inf)")
    t0 = Real(1e6, "[0, inf)")

    def _read_off(self, param, state, values):
        return np.array(state["average"])

    def _project(self, projections):
        """The average is one of projected parameters, too: they take the place of the others, with their weight."""
        weight = 1.0 / max(1.0, self.step_count - 1 - self.t0)
        averages = self._slots_by_name()["average"]
        for param, average, projection in zip(self._flat_params, averages, projections, strict=True):
            before = param.copy()
            projection.project(param)
            with np.errstate(all="ignore"):  # of parameters that have overflowed
                average += weight * (param - before)
