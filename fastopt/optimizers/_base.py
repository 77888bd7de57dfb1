"""The base class of all optimizers: everything that does not depend on the rule."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core, _rebuilding, _threads, _validation
from .._docstrings import insert_common
from .._memory import base_view
from .._types import Structure
from ._catching_up import CatchesUp
from ._hyperparameters import Choice, Flag, KnownAttributes, Real, ThreadCount, declare
from ._state import allocate

STATE_FORMAT = 1

COMMON_PARAMETERS = """\
weight_decay : float, default={weight_decay}
    Strength of weight decay, in [0, inf): {coupled_decay}
decoupled_weight_decay : bool, default={decoupled_weight_decay}
    {decoupled_decay}
maximize : bool, default=False
    Maximize instead of minimize: the sign of the gradient is reversed.
clip_value : float, optional
    Limit each entry of the gradient to [-clip_value, clip_value] first; in (0, inf).
clip_norm : float, optional
    Then scale the gradient so that its Euclidean norm over all arrays is at most this; in (0, inf).
nonfinite : {{"propagate", "skip", "raise"}}
    What to do with a gradient that has NaN or infinite entries: use it, skip the step (it does not
    count), or raise FloatingPointError. The last two read the gradient once more.
sparse : {{"lazy", "exact", "deferred"}}
    What a sparse gradient does to entries that it does not touch: nothing, nor to their state, or what zeros
    in a dense gradient would do; at once, or before such a row is next touched or asked for by `catch_up`.
    {sparse}
num_threads : int, optional
    Most threads to use; by default what `fastopt.get_num_threads` says. Results do not depend on it."""


# How "lazy" and "exact" compare, by what the rule does where the gradient is zero.
SPARSE_NOTES = {
    "stays": "Without weight decay the two are the same, as zeros change nothing.",
    "decays": (
        "The two differ, as zeros let the state decay.\n"
        "    Without weight decay an exact step takes time proportional to the gradient, and 8 bytes are kept for\n"
        "    each row, or for each entry of a vector. With a `scipy.sparse` gradient of a\n"
        "    matrix, which touches parts of rows, it is a pass over all entries."
    ),
    "moves": "The two differ, and an exact step is a pass over all entries, as zeros move the parameter.",
    "couples": (
        "Here both mean zeros: each entry depends\n    on sums over all of them, and a step is a pass over all entries."
    ),
}


# What "deferred" comes to, by how rows make up for steps without a gradient.
DEFERRED_NOTES = {
    "linear": "A deferred step has the result of an exact one, to rounding, in time proportional to the gradient.",
    "fades": (
        "A deferred step has the result of an exact one, to rounding, in time proportional to the gradient\n"
        "    and to the steps, up to a limit, for which its rows have rested."
    ),
    "stays": "Deferred steps are the same, too, and are refused with weight decay.",
    None: "Deferred steps are refused, as many steps without a gradient have no short form.",
}


def sparse_note(cls, values):
    """What a docstring says about sparse gradients; momentum, where it is an option, changes it."""
    rule = cls.rule
    if _core.couples_entries(rule):
        return f"{SPARSE_NOTES['couples']}\n    {DEFERRED_NOTES[None]}"
    note = SPARSE_NOTES[_core.on_zero_gradient(rule, values)]
    if "momentum" in values:
        note += "\n    With momentum the two differ, and an exact step is a pass over all entries."
    rest = _core.rest(rule, values | {"weight_decay": 1.0})
    if rest["kind"] is None and _core.rest(rule, values | {"weight_decay": 0.0})["kind"] is not None:
        return f"{note}\n    {DEFERRED_NOTES['stays']}"
    note += f"\n    {DEFERRED_NOTES[rest['kind']]}"
    if rest["kind"] is not None and not rest["with_l2"]:
        note += (
            "\n    Weight decay must be decoupled then."
            if cls._no_decoupled_decay is None
            else "\n    Weight decay is refused then."
        )
    return note


SMALL_DECAY = "\n    In float32 what is too small for one step is added up and takes effect in later ones."


def common_parameters(cls):
    """What the docstring of a class says about the hyper-parameters that every optimizer has."""
    defaults = {name: each.default for name, each in cls._declared.items()}
    notes = {"sparse": sparse_note(cls, defaults), "coupled_decay": cls._coupled_decay}
    notes["decoupled_decay"] = f"{cls._decoupled_decay}{SMALL_DECAY}"
    if cls._no_decoupled_decay is not None:
        notes["decoupled_decay"] = f"Must be False for {cls.__name__}, {cls._no_decoupled_decay[0]}."
    return COMMON_PARAMETERS.format(**defaults | notes)


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
    clip_norm = Real(None, "(0, inf)", keyword_only=True)
    nonfinite = Choice("propagate", "skip", "raise", keyword_only=True)
    sparse = Choice("lazy", "exact", "deferred", keyword_only=True)
    num_threads = ThreadCount(None, keyword_only=True)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        declare(cls)
        insert_common(cls, {"parameters": lambda: common_parameters(cls)})

    def __init__(self, params: Structure, *args: Any, **hyperparameters: Any) -> None:
        if self.rule is None:
            _validation.optimizers.refuse_base_class(type(self).__name__)
        values = self._validated(args, hyperparameters)
        arrays, keys = _validation.parameters.flat_parameters(params, type(self).__name__)
        if _core.takes_matrices(self.rule):
            from .. import _blas  # noqa: F401 - here, as it brings scipy.linalg with it

            _validation.parameters.check_matrices(arrays, keys, type(self).__name__, self._takes_vectors)
        slots = allocate([base_view(array) for array in arrays], _core.slot_shapes(self.rule, values))
        self._bind(self.rule, arrays, keys, slots, values)
        self._values = values
        if not all(_core.rule_slots(self.rule, values).values()):
            self._initialise()

    @classmethod
    def _validated(cls, args, hyperparameters):
        """Hyper-parameters of a call, complete and checked, by name."""
        for name in hyperparameters:
            if name not in cls._declared:
                _validation.optimizers.refuse_unknown_argument(cls.__name__, name, [*cls._declared])
        given = hyperparameters
        if args:  # else there is nothing to bind, which takes longer than the checks
            given = cls.__signature__.bind(None, *args, **hyperparameters).arguments
        values = {name: each.check(given.get(name, each.default)) for name, each in cls._declared.items()}
        cls._check_together(values)
        return values

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

    def _rate_at(self, t):
        """The scheduled learning rate of the step that follows t completed ones."""
        declared = self._declared["learning_rate"]
        return _validation.optimizers.scheduled_rate(self._values["learning_rate"](t), declared.interval, t)

    def _rates_from(self, t, n):
        """The scheduled learning rates of n steps, the first of which follows t completed ones."""
        schedule, interval = self._values["learning_rate"], self._declared["learning_rate"].interval
        rates = [schedule(t + k) for k in range(n)]  # a list: a generator would change StopIteration
        return _validation.optimizers.scheduled_rates(rates, interval, t)

    @property
    def _uses_value(self):
        """Whether `step` takes the value of the objective, too."""
        return _core.uses_value(self.rule)

    def _allowed_threads(self):
        return _threads.resolve(self._values["num_threads"])

    @property
    def state(self) -> dict[str, Structure]:
        """Slot name -> state in the structure of the parameters: writable views, zero-copy.

        With ``sparse="exact"`` the state of rows that sparse gradients left out is brought up to date now; with
        ``sparse="deferred"`` these rows and their state are.
        """
        self._flush()
        return {name: self._structured(arrays) for name, arrays in self._slots_by_name().items()}

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
            slots = self._slots_by_name()
            per_array = [{name: arrays[k] for name, arrays in slots.items()} for k in range(len(self._flat_params))]
            return self._structured(tuple(map(self._read_off, self._flat_params, per_array)))

    def _read_off(self, param, state):
        """What to use after training in the place of one parameter with its state; a new array."""
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
        rate = self._values["learning_rate"]
        return {
            "format": STATE_FORMAT,
            "optimizer": type(self).__name__,
            "step_count": self.step_count,
            "skipped_steps": self.skipped_steps,
            "learning_rate": None if callable(rate) else rate,
            "schedule": rate.state_dict() if hasattr(rate, "state_dict") else None,
            "hyperparameters": {
                name: value for name, value in self._values.items() if name not in ("learning_rate", "num_threads")
            },
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
        own, state_dict = self._snapshot_as_it_is(), _validation.state_dicts.plain(state_dict)
        _validation.state_dicts.check_entries(state_dict, own)
        _validation.state_dicts.learning_rate_state(state_dict, own, self._declared["learning_rate"])
        kept = {name: self._values[name] for name in ("learning_rate", "num_threads")}
        values = self._validated((), kept | state_dict["hyperparameters"])
        _validation.state_dicts.same_slots(_core.rule_slots(self.rule, values), own["state"])
        schedule = None
        if state_dict["learning_rate"] is not None:
            values["learning_rate"] = float(state_dict["learning_rate"])
        elif state_dict["schedule"] is not None:
            schedule = values["learning_rate"]
        for name, arrays in own["state"].items():
            copies = (*copies, *zip(arrays, state_dict["state"][name], strict=True))
        self._take_over(values, copies, dict(state_dict), state_dict["last_steps"], schedule)

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
            if name == "learning_rate" or value != self._declared[name].default
        ]
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
