"""The base of methods that need a built-in objective; their steps are loops of their own in csrc/finite_sum/."""

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

    rate_share = None  # the automatic learning rate, times the largest smoothness of a sample, where there is one
    former_names = None  # of the state, in checkpoints of versions before 0.2 -> present ones
    _abstract = True  # in the classes that are no methods themselves
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
        if "_abstract" in vars(type(self)):
            _validation.optimizers.refuse_base_class(type(self).__name__, "a method", "fastopt.SAGA")
        self.params = params
        if learning_rate is None:
            learning_rate = self._declared["learning_rate"].default
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

    def _bind(self, state):
        """Take the arrays that the steps update; a state of their shapes is copied into them."""
        former, self.state = self.state, state
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

    def _state_schema(self, n_samples, n_outputs):
        """The check of each array of the state, for an objective of that shape; None where it is not known."""
        raise NotImplementedError

    def schema(self, shape=(None, None), steps=(0, saved_runs.MOST)):
        """The check of a saved state.

        `shape` has the samples and outputs of the objective, `steps` the least and the most that there may have been.
        """
        entries = saved_runs.record(
            {
                "optimizer": functools.partial(choice, allowed=(type(self).__name__,)),
                "step_count": functools.partial(integer, minimum=steps[0], maximum=steps[1]),
                "learning_rate": saved_runs.optional(saved_runs.number("(0, inf)")),
                "state": saved_runs.record(self._state_schema(*shape), self.former_names or {}),
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
