"""SVRG and SAGA: variance-reduced methods for finite sums; their steps are in csrc/finite_sum/saga_svrg_tmpl.h."""

from __future__ import annotations

import contextlib
import functools
import math
from typing import Any

import numpy as np

from .. import _validation
from .._types import Array
from .._validation import saved_runs
from .._validation.scalars import choice, integer
from ..optimizers._hyperparameters import KnownAttributes, LearningRate, ThreadCount, declare

#: Names of the state in checkpoints of versions before 0.2 -> present names.
FORMER_NAMES = {"table": "gradient_memory", "mean": "mean_gradient"}


class AutomaticRate(LearningRate):
    """A learning rate that is a number, a schedule, or None: made from the objective."""

    def __init__(self, default):
        super().__init__(default, "(0, inf)")

    def check(self, value, name=None):
        return None if value is None else super().check(value, name)


class FiniteSumMethod(KnownAttributes):
    """Base of the methods that need a built-in objective; `fastopt.minimize` makes and runs them.

    Parameters
    ----------
    params : ndarray of shape (n_parameters,)
        float32 or float64; updated in place.
    """

    updates_memory = None
    rate_share = None  # the automatic learning rate, times the largest smoothness of a sample
    _uses_value = False
    learning_rate = AutomaticRate(None)
    num_threads = ThreadCount(None, keyword_only=True)
    params = state = None
    _reads_off = False  # the solution is the parameters
    step_count = skipped_steps = 0

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        declare(cls)

    def __init__(self, params: Array, learning_rate: Any = None, *, num_threads: int | None = None) -> None:
        if self.updates_memory is None:
            _validation.optimizers.refuse_base_class(type(self).__name__, "a method", "fastopt.SAGA")
        self.params = params
        given = {"learning_rate": learning_rate, "num_threads": num_threads}
        self._values = {name: each.check(given[name]) for name, each in self._declared.items()}
        self.step_count = self.skipped_steps = 0
        self.state, self._epoch_rate = {}, math.nan

    def _assign(self, declared, value):
        _validation.optimizers.refuse_finite_sum_assignment(declared.name)

    @property
    def _flat_params(self):
        return (self.params,)

    def _values_of_arrays(self):
        return [self._values]

    @property
    def _rates(self):
        return [self._values["learning_rate"]]

    @property
    def _last_rate(self):
        return math.nan if self.step_count == 0 else self._epoch_rate

    def _bind(self, gradient_memory, mean_gradient):
        """Take the arrays that the steps update; a state of their shapes is copied into them."""
        former, self.state = self.state, {"gradient_memory": gradient_memory, "mean_gradient": mean_gradient}
        for name, array in former.items():
            if array.shape == self.state[name].shape:
                self.state[name][...] = array

    def _begin_epoch(self, objective):
        """Return the learning rate of the epoch that the next step is in."""
        rate = self._values["learning_rate"]
        if rate is None:
            rate = self._values["learning_rate"] = _validation.minimize.automatic_rate(self.rate_share, objective)
        elif callable(rate):
            first = self.step_count - self.step_count % objective.n_samples
            rate = _validation.optimizers.scheduled_rate(rate(first), "[0, inf)", first)
        self._epoch_rate = rate
        return rate

    def solution(self) -> Array:
        """Return what to use after a run.

        Returns
        -------
        ndarray
            A copy of the parameters.
        """
        return np.array(self.params)

    def _project(self, projections):
        """After a step: move the parameters into bounds."""
        projections[0].project(self.params)

    def _snapshot(self):
        return {
            "optimizer": type(self).__name__,
            "step_count": self.step_count,
            **self._saved_rate(),
            "state": dict(self.state),
        }

    def _saved_rate(self):
        """What a checkpoint has of the learning rate: NaN is one that is not made yet."""
        rate = self._values["learning_rate"]
        return {
            "learning_rate": None if callable(rate) else math.nan if rate is None else rate,
            "schedule": rate.state_dict() if hasattr(rate, "state_dict") else None,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Load the state of an interrupted run of the same shape; the run that continues binds it.

        Parameters
        ----------
        saved : dict
            As in a checkpoint.

        Raises
        ------
        TypeError, ValueError
            When it does not fit; nothing has changed then.
        """
        self._take_over(self.schema()("state_dict", saved))

    def _take_over(self, saved):
        """Become what was saved and checked."""
        if saved["learning_rate"] is not None:
            self._values["learning_rate"] = saved["learning_rate"]
        elif saved["schedule"] is not None:
            self._values["learning_rate"].load_state_dict(saved["schedule"])  # the only one that may refuse it
        self.step_count = saved["step_count"]
        self.state = saved["state"]

    def _load(self, saved, copies):
        """Load a saved state and copy other arrays: pairs of target and source that fit."""
        self._take_over(self.schema()("state_dict", {name: saved[name] for name in self._snapshot() if name in saved}))
        for target, source in copies:
            target[...] = source

    def _claim(self, call):
        """A context for saving and loading; only `minimize` makes steps, and it returns after the last one."""
        return contextlib.nullcontext()

    def schema(self, memory_shape=(None, None), steps=(0, saved_runs.MOST)):
        """The check of a saved state; `steps` are the least and the most that it may have made."""
        params = self.params
        arrays = {
            "gradient_memory": saved_runs.array(params.dtype, memory_shape),
            "mean_gradient": saved_runs.array(params.dtype, params.shape),
        }
        entries = saved_runs.record(
            {
                "optimizer": functools.partial(choice, allowed=(type(self).__name__,)),
                "step_count": functools.partial(integer, minimum=steps[0], maximum=steps[1]),
                "learning_rate": saved_runs.optional(saved_runs.number("(0, inf)")),
                "state": saved_runs.record(arrays, FORMER_NAMES),
            },
            optional={"schedule": saved_runs.optional(saved_runs.a_dict)},
        )

        def check(name, value):
            value = {"schedule": None, **entries(name, value)}
            _validation.state_dicts.learning_rate_state(value, self._saved_rate(), self._declared["learning_rate"])
            return value

        return check

    def __repr__(self):
        settings = f"learning_rate={self._values['learning_rate']!r}"
        return f"<{type(self).__name__}({settings}): {self.params.size:,} parameters, step {self.step_count}>"


class SAGA(FiniteSumMethod):
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


class SVRG(FiniteSumMethod):
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


#: Name -> class of the methods that need a built-in objective.
FINITE_SUM_METHODS = {"saga": SAGA, "svrg": SVRG}
