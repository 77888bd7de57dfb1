"""Hyper-parameters of single arrays: `groups` of an optimizer, and all numbers that are set between steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .. import _core
from .._validation import groups as validation
from .._validation.text import shown
from ._hyperparameters import Hyperparameter


class Groups(Hyperparameter):
    """Numbers in which some arrays differ from the optimizer, by the keys or indices of the parameters."""

    def __init__(self):
        super().__init__(None, keyword_only=True)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else GroupsView(instance)

    def __set__(self, instance: Any, value: Any) -> None:
        keys = keys_of(instance._keys)
        validation.refuse_all(f"opt.{validation.place(next(iter(keys)))}.weight_decay = 0.0")

    def check(self, value):
        """Left to `checked`, which is told what parameters there are."""
        return value


def keys_of(keys):
    """The keys of each array, from the structure of the parameters: of a single one None."""
    return (None,) if keys is None else range(keys) if isinstance(keys, int) else keys


def checked(cls, values, keys):
    """The `groups` among the hyper-parameters of a call, valid and complete: an empty dict if there are none."""
    if values["groups"] is None:
        return {}
    groups = {}
    for key, given in validation.mapping(values["groups"], keys, cls.__name__).items():
        groups[key] = {}
        for name, value in given.items():
            declared = validation.number(name, key, cls.__name__, cls._declared)
            groups[key][name] = declared.check(value, f"{validation.place(key)}[{name!r}]")
    check_together(cls, values | {"groups": groups})
    return groups


def check_together(cls, values):
    """Refuse numbers of arrays that do not go with the other hyper-parameters."""
    form = _core.form(cls.rule, values)
    for key, own in values["groups"].items():
        merged = values | own
        try:
            cls._check_together(merged)
        except ValueError as error:
            validation.refuse_combination(key, error)
        for name, value in own.items():
            if _core.form(cls.rule, values | {name: value}) != form:
                validation.refuse_form(name, key, value, values[name])


def own_of_arrays(values, keys):
    """Per array the numbers in which it differs."""
    return [values["groups"].get(key, {}) for key in keys_of(keys)]


def assign(optimizer, declared, value):
    """Set a number of an optimizer from the next step on."""
    cls, name = type(optimizer), declared.name
    if declared.initial:
        validation.refuse_start(name, cls.__name__)
    new = {name: declared.check(value)}
    with optimizer._claim(f"`{name}`"):  # from here on: the others are not to be set meanwhile
        values = optimizer._values | new
        optimizer._check_together(values)
        if _core.form(cls.rule, values) != _core.form(cls.rule, optimizer._values):
            optimizer._refuse_assignment(name, value)
        check_together(cls, values)
        optimizer._change_values(values, None, name)


def assign_own(optimizer, key, name, new):
    """Set a number in which an array differs from the next step on: {name: value}, or {} for the optimizer's."""
    with optimizer._claim(f"`{validation.place(key)}.{name}`"):
        groups = optimizer._values["groups"]
        own = groups.get(key, {}) | new
        if not new:
            if name not in own:
                validation.refuse_unset(name, key)
            del own[name]
        values = optimizer._values | {"groups": groups | {key: own}}
        if not own:
            del values["groups"][key]
        check_together(type(optimizer), values)
        optimizer._change_values(values, own_of_arrays(values, optimizer._keys), name)


class GroupsView(Mapping):
    """What `opt.groups` is: the key or index of each array -> its numbers, which can be set.

    Parameters
    ----------
    optimizer : Optimizer
    """

    __slots__ = ("_optimizer",)

    def __init__(self, optimizer: Any) -> None:
        self._optimizer = optimizer

    def __getitem__(self, key: Any) -> Group:
        keys = self._optimizer._keys
        if keys is None:
            validation.refuse_single(type(self._optimizer).__name__)
        try:
            validation.known_key(key, keys)
        except ValueError as error:
            raise KeyError(str(error)) from None
        return Group(self._optimizer, key)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._keys())

    def __len__(self) -> int:
        return len(self._keys())

    def _keys(self):
        return () if self._optimizer._keys is None else keys_of(self._optimizer._keys)

    def __repr__(self) -> str:
        return shown(self._optimizer._values["groups"])


class Group:
    """The numbers of one array: its own, else those of the optimizer. They can be set, and deleted to go back to these.

    Parameters
    ----------
    optimizer : Optimizer
    key
        Of the array among the parameters.
    """

    __slots__ = ("_key", "_optimizer")

    def __init__(self, optimizer: Any, key: Any) -> None:
        object.__setattr__(self, "_optimizer", optimizer)
        object.__setattr__(self, "_key", key)

    def _own(self):
        return self._optimizer._values["groups"].get(self._key, {})

    def _number(self, name):
        cls = type(self._optimizer)
        return validation.number(name, self._key, cls.__name__, cls._declared, AttributeError)

    def __dir__(self):
        return [name for name, each in self._optimizer._declared.items() if each.is_number and not each.joint]

    def __getattr__(self, name: str) -> Any:
        self._number(name)
        return (self._optimizer._values | self._own())[name]

    def __setattr__(self, name: str, value: Any) -> None:
        declared = self._number(name)
        if declared.initial:
            validation.refuse_start(name, type(self._optimizer).__name__)
        value = declared.check(value, f"{validation.place(self._key)}.{name}")
        assign_own(self._optimizer, self._key, name, {name: value})

    def __delattr__(self, name: str) -> None:
        if self._number(name).initial:
            validation.refuse_start(name, type(self._optimizer).__name__)
        assign_own(self._optimizer, self._key, name, {})

    def __eq__(self, other):
        return isinstance(other, Group) and self._own() == other._own()

    __hash__ = None

    def __repr__(self) -> str:
        return f"<{validation.place(self._key)} of {type(self._optimizer).__name__}: {shown(self._own())}>"


# --- in state dictionaries -------------------------------------------------------------------------------


def snapshot(optimizer):
    """What a state dictionary has of the arrays that differ from the optimizer, by their positions."""
    own = own_of_arrays(optimizer._values, optimizer._keys)
    records = zip(optimizer._group_of_arrays, own, optimizer._carry_of_arrays, strict=True)
    return [_record(k, own, carry) for k, (group, own, carry) in enumerate(records) if group != 0]


def _record(k, own, carry):
    numbers = {name: value for name, value in own.items() if name != "learning_rate"}
    record = {"array": k, "hyperparameters": numbers, "carry": carry}
    return record | saved_rate(own["learning_rate"]) if "learning_rate" in own else record


def saved_rate(rate):
    """What a state dictionary has of a learning rate."""
    return {
        "learning_rate": None if callable(rate) else rate,
        "schedule": rate.state_dict() if hasattr(rate, "state_dict") else None,
    }


def loaded(cls, values, records, former, keys):
    """The `groups` of a state dictionary, checked; its schedules are those of the `former` hyper-parameters."""
    groups = {}
    for record in records:
        key, own = keys_of(keys)[record["array"]], dict(record["hyperparameters"])
        if record.get("learning_rate") is not None:
            own["learning_rate"] = record["learning_rate"]
        elif "learning_rate" in record:
            own["learning_rate"] = former["groups"][key]["learning_rate"]
        if own:
            groups[key] = own
    return checked(cls, values | {"groups": groups or None}, keys)


def loaded_schedules(values, saved, keys):
    """Pairs of each schedule that has a state in a state dictionary, and that state."""
    found = {}
    if saved["learning_rate"] is None and saved["schedule"] is not None:
        found[id(values["learning_rate"])] = values["learning_rate"], saved["schedule"]
    for record in saved["groups"]:
        if record.get("learning_rate", 0.0) is None and record["schedule"] is not None:
            schedule = values["groups"][keys_of(keys)[record["array"]]]["learning_rate"]
            found.setdefault(id(schedule), (schedule, record["schedule"]))
    return [*found.values()]


def carry_of_arrays(saved, n):
    """Per array, the scalars that pass from step to step in a state dictionary."""
    carries = [saved["carry"]] * n
    for record in saved["groups"]:
        carries[record["array"]] = record["carry"]
    return carries
