"""DoG: hyper-parameters and documentation; the update itself is csrc/rules/dog.c."""

import numpy as np

from ._base import Optimizer
from ._hyperparameters import Flag, LearningRate, Real


class DoG(Optimizer):
    r"""DoG, distance over gradients: SGD that finds its learning rate, and the average of its steps.

    .. math::

        r_t = \max\left(r_{t-1}, \|p_{t-1} - p_0\|\right), \quad G_t = G_{t-1} + \|g_t\|^2, \quad
        p_t = p_{t-1} - \text{learning_rate} \frac{r_t}{\sqrt{G_t + \epsilon}} g_t, \\
        a_t = a_{t-1} + \frac{\gamma + 1}{\gamma + t} (p_t - a_{t-1}), \quad
        r_1 = \text{reps_rel} \, (1 + \|p_0\|)

    The average :math:`a` is what to use after training.

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64; bound once and updated in place.
    learning_rate : float or callable, default=1.0
        Factor of the rate in [0, inf), or a callable that gives it for the step number t = 0, 1, 2, ...; the paper
        advises against another than 1.
    reps_rel : float, default=1e-6
        The first distance relative to 1 plus the norm of the parameters, in (0, inf): the first steps should be small.
    epsilon : float, default=1e-8
        Added to the sum of squared norms of gradients, in (0, inf).
    layerwise : bool, default=False
        L-DoG: a distance, a sum and a rate for each array of its own, instead of one for all together.
    averaging : bool, default=True
        Keep the average. Without it a step has less to read and to write, and the parameters are what to use.
    gamma : float, default=8.0
        :math:`\gamma`, in [0, inf): 0 is the mean of all steps; the larger it is, the less of early steps remains.
    <common parameters>

    Notes
    -----
    The norm of the gradient is taken first, which is one more read of it; the distance while the step goes, for the
    next one. Parameters that are changed between two steps count in the distance after the next step. State:
    ``p0``, the starting point, and with `averaging` ``average``; 8 bytes per float32 parameter, twice that for
    float64; and for each array ``distance``, which is :math:`r`, ``grad_norm``, which is :math:`\sqrt{G}`, and
    ``moved_squares``, the square of the last :math:`\|p - p_0\|`, plain and with two scales that double cannot overflow
    with. Without `layerwise`, all arrays have the same ``distance`` and ``grad_norm``. A sparse gradient means zeros
    elsewhere, with both values of `sparse`: a step is a pass over all entries.

    References
    ----------
    .. [1] M. Ivgi, O. Hinder and Y. Carmon, "DoG is SGD's best friend: a parameter-free dynamic step size schedule",
           ICML 2023, arXiv:2302.12022. The reference is the package dog-optimizer, with its
           ``PolynomialDecayAverager``.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.DoG(x)
    >>> for _ in range(500):
    ...     opt.step(2 * x)                # gradient of x @ x
    >>> bool(np.abs(opt.state["average"]).max() < 1e-2)
    True
    """

    rule = "dog"
    learning_rate = LearningRate(1.0)
    reps_rel = Real(1e-6, "(0, inf)", initial=True)
    epsilon = Real(1e-8, "(0, inf)")
    layerwise = Flag(False)
    averaging = Flag(True)
    gamma = Real(8.0, "[0, inf)")

    def _read_off(self, param, state, values):
        """What to use after training in the place of one parameter with its state; a new array."""
        return np.array(state["average"] if self.averaging else param)

    @property
    def _reads_off(self):
        return self.averaging

    def _project(self, projections):
        """The average is one of projected parameters, too: they take the place of the others, with their weight."""
        weight = (self.gamma + 1.0) / (self.gamma + self.step_count)
        averages = self._slots_by_name().get("average", [None] * len(self._flat_params))
        for param, average, projection in zip(self._flat_params, averages, projections, strict=True):
            before = param.copy()
            projection.project(param)
            if average is not None:
                with np.errstate(all="ignore"):  # of parameters that have overflowed
                    average += weight * (param - before)
