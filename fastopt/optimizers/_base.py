"""The base class of all optimizers: everything that does not depend on the rule."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core, _rebuilding, _threads, _validation
from .._docstrings import insert_common
from .._memory import base_view
from .._types import Structure
from . import _groups as grouping
from ._catching_up import CatchesUp
from ._common_parameters import common_parameters
from ._groups import Groups
from ._hyperparameters import Choice, Count, Flag, KnownAttributes, Real, ThreadCount, declare
from ._state import allocate
from ._storage import STATE_DTYPES, check_storages, decoded, stored_alike

STATE_FORMAT = 1

# Hyper-parameters that a state dictionary has elsewhere, or not.
SAVED_APART = ("learning_rate", "num_threads", "groups")


class Optimizer(KnownAttributes, CatchesUp, _core.Engine):
    """In-place stochastic optimizer of NumPy arrays; the base class of all.

    A subclass names its C rule in `rule` and declares its hyper-parameters: see
    "Contributing" in the documentation.

    Parameters
    ----------
    params : ndarray, or list or dict of ndarrays
        Writable, C-contiguous, float32 or float64. Bound once; every step updates them in place.
    *args, **hyperparameters
        Those that the subclass declares, in the order of its signature, and by name.
    """

    rule = None
    learning_rate: Any  # declared by each subclass with its own default
    _takes_vectors = True  # if the rule takes matrices, as those of one row
    _step_gain = 1.0  # how much further than one step a constant gradient moves the parameters; above 1 with momentum
    _coupled_decay = "``weight_decay * p`` is added to the gradient."  # what docstrings say of decay not decoupled
    _decoupled_decay = "Multiply the parameter by ``1 - learning_rate * weight_decay`` before the update instead."
    _no_decoupled_decay: tuple[str, str] | None = None  # or why it is refused, and what to do instead
    _penalty = "lagged_gradient"  # how l1 and l2 of an objective are applied: a key of `epochs.PENALTIES`
    weight_decay = Real(0.0, "[0, inf)", keyword_only=True)
    decoupled_weight_decay = Flag(False, keyword_only=True)
    maximize = Flag(False, keyword_only=True)
    clip_value = Real(None, "(0, inf)", keyword_only=True)
    clip_norm = Real(None, "(0, inf)", keyword_only=True, joint=True)
    nonfinite = Choice("propagate", "skip", "raise", keyword_only=True)
    sparse = Choice("lazy", "exact", "deferred", keyword_only=True)
    state_dtype = Choice(None, *STATE_DTYPES, keyword_only=True)
    state_seed = Count(0, 0, 2**63 - 1, keyword_only=True, joint=True)
    num_threads = ThreadCount(None, keyword_only=True)
    groups = Groups()

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        declare(cls)
        insert_common(cls, {"parameters": lambda: common_parameters(cls)})

    def __init__(self, params: Structure, *args: Any, **hyperparameters: Any) -> None:
        if self.rule is None:
            _validation.optimizers.refuse_base_class(type(self).__name__)
        values = self._validated(args, hyperparameters)
        arrays, keys = _validation.parameters.flat_parameters(params, type(self).__name__)
        values["groups"] = grouping.checked(type(self), values, keys)
        if _core.takes_matrices(self.rule):
            from .. import _blas  # noqa: F401 - here, as it brings scipy.linalg with it

            _validation.parameters.check_matrices(arrays, keys, type(self).__name__, self._takes_vectors)
        check_storages(self, arrays, keys, values)
        storages = _core.slot_storages(self.rule, values)
        slots = allocate([base_view(array) for array in arrays], _core.slot_shapes(self.rule, values), storages)
        self._bind(self.rule, arrays, keys, slots, values, grouping.own_of_arrays(values, keys))
        self._values = values
        if not all(_core.rule_slots(self.rule, values).values()):
            self._initialise()

    @classmethod
    def _validated(cls, args, hyperparameters):
        """Hyper-parameters of a call, complete and checked, by name; but for `groups`, which need the parameters."""
        for name in hyperparameters:
            if name not in cls._declared:
                _validation.optimizers.refuse_unknown_argument(cls.__name__, name, [*cls._declared])
        given = hyperparameters
        if args:  # else there is nothing to bind, which takes longer than the checks
            given = cls.__signature__.bind(None, *args, **hyperparameters).arguments
        values = {name: each.check(given.get(name, each.default)) for name, each in cls._declared.items()}
        cls._check_together(values)
        return values

    def _assign(self, declared, value):
        """Set a hyper-parameter from the next step on, or say why that cannot be."""
        if declared.is_number:
            grouping.assign(self, declared, value)
        else:
            self._refuse_assignment(declared.name, value)

    def _refuse_assignment(self, name, value):
        new = None if self._state_fits(name, value) else f"{type(self).__name__}(params, {name}={value!r})"
        _validation.optimizers.refuse_assignment(name, new)

    def _state_fits(self, name, value):
        """Whether the state could be gone on with if a hyper-parameter had another value; so if it can have no such."""
        try:
            values = self._values | {name: self._declared[name].check(value)}
        except (TypeError, ValueError):
            return True
        try:
            self._check_together(values)
        except ValueError:
            return False
        if _core.slot_storages(self.rule, values) != _core.slot_storages(self.rule, self._values):
            return False
        return list(_core.rule_slots(self.rule, values)) == list(self._slots_by_name())

    @classmethod
    def _check_together(cls, values):
        """Raise if hyper-parameters that are valid one by one cannot be combined."""
        if cls._no_decoupled_decay is not None:
            _validation.optimizers.no_decoupled_decay(values, cls.__name__, *cls._no_decoupled_decay)
        cls._check_combination(values)
        if values["sparse"] == "deferred":
            cls._check_deferrable(values)

    @classmethod
    def _check_deferrable(cls, values):
        """Raise if rows could not make up in bounded time for the steps that they have missed."""
        may_decouple = cls._no_decoupled_decay is None
        _validation.optimizers.deferrable(cls.__name__, values, _core.rest(cls.rule, values), may_decouple)

    @staticmethod
    def _check_combination(values):
        """Raise for combinations of hyper-parameters that are the subclass's own."""

    def _rate_at(self, schedule, t):
        """The scheduled learning rate of the step that follows t completed ones."""
        return _validation.optimizers.scheduled_rate(schedule(t), self._declared["learning_rate"].interval, t)

    def _rates_from(self, t, n):
        """The scheduled learning rates of n steps, the first of which follows t completed ones."""
        schedule, interval = self._values["learning_rate"], self._declared["learning_rate"].interval
        rates = [schedule(t + k) for k in range(n)]  # a list: a generator would change StopIteration
        return _validation.optimizers.scheduled_rates(rates, interval, t)

    @property
    def _rates(self):
        """The learning rates of all arrays, each once."""
        rates = [self._values["learning_rate"], *(each["learning_rate"] for each in self._values_of_arrays())]
        return [*{id(rate): rate for rate in rates}.values()]

    @property
    def _uses_value(self):
        """Whether `step` takes the value of the objective, too."""
        return _core.uses_value(self.rule)

    def _allowed_threads(self):
        return _threads.resolve(self._values["num_threads"])

    @property
    def state(self) -> dict[str, Structure]:
        """Slot name -> state in the structure of the parameters: writable views, zero-copy.

        Slots that `state_dtype` stores in fewer bits are read-only float32 copies of what they are now. With
        ``sparse="exact"`` the state of rows that sparse gradients left out is brought up to date now; with
        ``sparse="deferred"`` these rows and their state are.
        """
        self._flush()
        storages = _core.slot_storages(self.rule, self._values)
        return {
            name: self._structured(decoded(self._flat_params, arrays, storages[name]) if name in storages else arrays)
            for name, arrays in self._slots_by_name().items()
        }

    def _slots_by_name(self):
        return dict(zip(_core.rule_slots(self.rule, self._values), self._slot_arrays, strict=True))

    def solution(self) -> Structure:
        """Return what to use after training, in the structure of the parameters.

        Returns
        -------
        ndarray, or list or dict of ndarrays
            Copies of the parameters; of an optimizer that averages, such as `ASGD`, the average: its own
            documentation says so. Training goes on from the parameters, whatever is done to these arrays.

        Raises
        ------
        RuntimeError
            When a step of this optimizer is under way, in another thread.

        Examples
        --------
        >>> import numpy as np, fastopt
        >>> x = np.array([3.0, -2.0])
        >>> opt = fastopt.ASGD(x, learning_rate=0.1, t0=1)
        >>> for _ in range(3):
        ...     opt.step(2 * x)
        >>> np.array_equal(opt.solution(), opt.state["average"])
        True
        """
        with self._claim("solution()"):
            self._check_params()
            self._flush_claimed()
            parts = zip(self._flat_params, self._state_of_arrays(), self._values_of_arrays(), strict=True)
            return self._structured(tuple([self._read_off(*part) for part in parts]))

    def _state_of_arrays(self):
        """Per array, its state by slot name."""
        slots = self._slots_by_name()
        return [{name: arrays[k] for name, arrays in slots.items()} for k in range(len(self._flat_params))]

    def _values_of_arrays(self):
        """Per array, its hyper-parameters by name."""
        return [self._values | own for own in grouping.own_of_arrays(self._values, self._keys)]

    def _read_off(self, param, state, values):
        """What to use after training in the place of one parameter with its state and hyper-parameters; a new array."""
        return np.array(param)

    @property
    def _reads_off(self):
        """Whether the solution is something else than the parameters."""
        return type(self)._read_off is not Optimizer._read_off

    def _project(self, projections):
        """After a step: move each parameter into its bounds, and with it all that the solution is made of."""
        for param, projection in zip(self._flat_params, projections, strict=True):
            projection.project(param)

    def _snapshot(self):
        """The state dictionary with the state arrays themselves in it, not copies; deferred rows catch up first.

        The caller has claimed the optimizer.
        """
        self._catch_up_all()
        snapshot = self._snapshot_as_it_is()
        if self.sparse == "deferred":
            snapshot["last_steps"] = [None] * len(snapshot["last_steps"])  # all are up to date
        return snapshot

    def _snapshot_as_it_is(self):
        return {
            "format": STATE_FORMAT,
            "optimizer": type(self).__name__,
            "step_count": self.step_count,
            "skipped_steps": self.skipped_steps,
            **grouping.saved_rate(self._values["learning_rate"]),
            "hyperparameters": {name: value for name, value in self._values.items() if name not in SAVED_APART},
            "groups": grouping.snapshot(self),
            "carry": self._carry,
            "last_steps": list(self._last_steps),
            "state": {name: list(arrays) for name, arrays in self._slots_by_name().items()},
        }

    def state_dict(self) -> dict[str, Any]:
        """Return all that an optimizer needs to continue with the same bits, except the parameters.

        Returns
        -------
        dict
            Numbers, strings and copies of the state arrays; no other objects. A learning-rate schedule is not
            in it, but the counters of one that has `state_dict` are.

        Raises
        ------
        RuntimeError
            When a step of this optimizer is under way, in another thread.
        """
        with self._claim("state_dict()"):
            snapshot = self._snapshot()
            snapshot["state"] = {name: [array.copy() for array in arrays] for name, arrays in snapshot["state"].items()}
            snapshot["last_steps"] = _copies(snapshot["last_steps"])
            return snapshot

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` returned: counters, hyper-parameters, learning rate and state.

        Parameters
        ----------
        state_dict : dict
            From an optimizer of the same class over arrays of the same shapes and dtypes. Its arrays are copied.

        Raises
        ------
        TypeError, ValueError
            When it does not fit; nothing has changed then.
        RuntimeError
            When a step of this optimizer is under way, in another thread.
        """
        with self._claim("load_state_dict()"):
            self._load(state_dict, ())

    def _load(self, state_dict, copies):
        """Load a checked state dictionary, and copy other arrays: pairs of target and source.

        The caller has claimed the optimizer.
        """
        own, state_dict = self._snapshot_as_it_is(), stored_alike(self, _validation.state_dicts.plain(state_dict))
        couples = _core.couples_entries(self.rule)
        _validation.state_dicts.check_entries(state_dict, own, couples)
        _validation.state_dicts.learning_rate_state(state_dict, own, self._declared["learning_rate"])
        n = len(self._flat_params)
        _validation.state_dicts.groups(state_dict["groups"], own, 0 if self._keys is None else n, couples)
        kept = {name: self._values[name] for name in ("learning_rate", "num_threads")}
        values = self._validated((), kept | state_dict["hyperparameters"])
        _validation.state_dicts.same_slots(_core.rule_slots(self.rule, values), own["state"])
        if state_dict["learning_rate"] is not None:
            values["learning_rate"] = float(state_dict["learning_rate"])
        values["groups"] = grouping.loaded(type(self), values, state_dict["groups"], self._values, self._keys)
        for name, arrays in own["state"].items():
            copies = (*copies, *zip(arrays, state_dict["state"][name], strict=True))
        saved = state_dict | {"carry_of_arrays": grouping.carry_of_arrays(state_dict, n)}
        schedules = grouping.loaded_schedules(values, state_dict, self._keys)
        self._take_over(values, grouping.own_of_arrays(values, self._keys), copies, saved, schedules)

    def __reduce__(self):
        with self._claim("__reduce__()"):
            attributes = _attributes(self)
            return _rebuild, (type(self), self.params, self._values), self._snapshot() | {"attributes": attributes}

    def __setstate__(self, snapshot):
        self.load_state_dict(snapshot)
        for name, value in snapshot["attributes"].items():
            object.__setattr__(self, name, value)

    def __repr__(self):
        arrays = self._flat_params
        dtypes = " and ".join(sorted({array.dtype.name for array in arrays}))
        size = sum(array.size for array in arrays)
        changed = [
            f"{name}={value!r}"
            for name, value in self._values.items()
            if name == "learning_rate" or (name != "groups" and value != self._declared[name].default)
        ]
        if self._values["groups"]:
            changed.append(f"groups={self.groups!r}")
        count = f"{len(arrays)} array{'s' if len(arrays) > 1 else ''}"
        n_behind = self._rows_behind
        behind = f", {n_behind:,} row{'s' if n_behind > 1 else ''} behind" if n_behind else ""
        return (
            f"<{type(self).__name__}({', '.join(changed)}): {size:,} {dtypes} parameters in {count}, "
            f"step {self.step_count}{behind}>"
        )


def _attributes(optimizer):
    """What subclasses keep, in slots of their own or not."""
    state = object.__getstate__(optimizer)
    attributes, slots = state if isinstance(state, tuple) else (state, {})
    return {name: value for name, value in {**attributes, **slots}.items() if name != "_values"}


def _copies(arrays):
    """Copies of arrays, some of which may be None."""
    return [None if array is None else array.copy() for array in arrays]


def _rebuild(cls, params, values):
    """Make an optimizer anew from its parameters and hyper-parameters, for pickle and copy."""
    optimizer = cls.__new__(cls)
    Optimizer.__init__(optimizer, _rebuilding.writable(params), **values)  # a subclass may have another signature
    return optimizer
