"""Checks of saved states, before they are loaded."""

import numpy as np

from .._memory import base_view, is_intact
from .scalars import integer, number, real
from .text import shown

MOST_STEPS = 2**53  # up to here float64 represents every integer
# What float32 arrays are still to decay, by weight decay and by decay of the rule: among `carry` if it is not 0.
OWED = ("owed_decay", "owed_own_decay")

#: Entries that state dictionaries of versions before 0.2 lack -> what stands for them.
ADDED = {"groups": []}


def check_entries(given, own, couples):
    """Check that a state dictionary fits an optimizer whose own one is `own`; nothing is copied.

    `couples`: whether its rule takes sums over gradients, as in `_check_carry`.
    """
    if not isinstance(given, dict):
        raise TypeError(f"`state_dict` must be a dict, got {type(given).__name__}.")
    missing = [key for key in own if key not in given]
    if missing:
        raise ValueError(f"`state_dict` must have the entries {list(own)!r}, got none for {missing!r}.")
    for key in ("format", "optimizer"):
        if type(given[key]) is not type(own[key]) or given[key] != own[key]:
            raise ValueError(f"`state_dict[{key!r}]` must be {own[key]!r}, got {shown(given[key])}.")
    given, own, owed = *map(_without_owed, (given, own)), given["carry"]
    for key in ("hyperparameters", "carry", "state"):
        if not isinstance(given[key], dict) or set(given[key]) != set(own[key]):
            raise ValueError(
                f"`state_dict[{key!r}]` must have the entries {list(own[key])!r}, {_difference(given[key], own[key])}."
            )
    for slot, arrays in own["state"].items():
        state_arrays(slot, given["state"][slot], [(array.shape, array.dtype) for array in arrays])
    for key in ("step_count", "skipped_steps"):
        integer(f"state_dict[{key!r}]", given[key], 0, MOST_STEPS)
    _check_carry("state_dict['carry']", owed, couples)


def _check_carry(name, carry, couples):
    """Sums over gradients are NaN or infinite where the gradients were, like the state; other scalars are finite."""
    for key, value in carry.items():
        if key in OWED:
            real(f"{name}[{key!r}]", value, "[-1e-6, 1e-6]")
        elif couples:
            number(f"{name}[{key!r}]", value)
        else:
            real(f"{name}[{key!r}]", value)


def _without_owed(state_dict):
    carry = state_dict["carry"]
    if not isinstance(carry, dict):
        return state_dict
    return state_dict | {"carry": {name: value for name, value in carry.items() if name not in OWED}}


def _difference(given, own):
    if not isinstance(given, dict):
        return f"got {shown(given)}"
    missing, unknown = [key for key in own if key not in given], [key for key in given if key not in own]
    return f"got missing {shown(missing)} and unknown {shown(unknown)}"


def last_steps(given, sizes):
    """Check the steps that rows of a state dictionary are up to date with: one array or None per parameter."""
    given, step_count = given["last_steps"], given["step_count"]
    fits = isinstance(given, (list, tuple)) and len(given) == len(sizes)
    if not fits or any(
        each is not None
        and not (
            isinstance(each, np.ndarray)
            and each.dtype == np.int64
            and each.shape == (size,)
            and (size == 0 or (each.min() >= 0 and each.max() <= step_count))
        )
        for each, size in zip(given, sizes, strict=True)
    ):
        raise ValueError(
            f"`state_dict['last_steps']` must be a list of {len(sizes)} items, each None or an int64 array of steps "
            f"up to {step_count} for the {shown(sizes)} rows of the parameters, got {shown(given)}."
        )


def no_last_steps(given):
    """Refuse steps that rows are up to date with for hyper-parameters with which all rows always are.

    The kernels read them for rows; with these hyper-parameters they may be given single entries of rows.
    """
    if any(each is not None for each in given):
        raise ValueError(
            "`state_dict['last_steps']` must hold None only, unless `sparse` is \"exact\", the state decays where the "
            "gradient is zero, and `weight_decay` is 0, got arrays."
        )


def plain(given):
    """The same state dictionary with arrays of no subclass: another class may say of itself what is not so.

    Entries that one of a former version lacks are added.
    """
    if not isinstance(given, dict) or not isinstance(given.get("state"), dict):
        return given
    given = ADDED | given | {"state": {name: _plain_arrays(arrays) for name, arrays in given["state"].items()}}
    if "last_steps" in given:
        given["last_steps"] = _plain_arrays(given["last_steps"])
    return given


def _plain_arrays(arrays):
    if not isinstance(arrays, (list, tuple)):
        return arrays
    return [base_view(each) if isinstance(each, np.ndarray) else each for each in arrays]


def refuse_slots(slot):
    """Raise for options of a rule that need other state arrays than those that there are."""
    raise ValueError(f"the hyper-parameters must go with the state arrays, got others for `{slot}`.")


def same_slots(given, own):
    """Refuse hyper-parameters that need the state arrays `given` where the optimizer has `own`."""
    if list(given) != list(own):
        raise ValueError(
            f"`state_dict['hyperparameters']` must go with the state {list(own)!r}, got values for {list(given)!r}."
        )


def learning_rate_state(given, own, learning_rate):
    """Check that the learning rate of a state dictionary fits an optimizer's own.

    Both must be numbers, both schedules without state, or both schedules with it.
    """
    _same_kind("state_dict['learning_rate']", given, own)
    if given["learning_rate"] is not None:
        real("state_dict['learning_rate']", given["learning_rate"], learning_rate.interval)


def _same_kind(name, given, own):
    kinds = [
        "a number"
        if each["learning_rate"] is not None
        else "a schedule with state"
        if each["schedule"] is not None
        else "a schedule"
        for each in (given, own)
    ]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"`{name}` must be {kinds[1]} like the optimizer's, got {kinds[0]}; "
            "make the optimizer with the learning rate that the saved one had."
        )


def groups(given, own, n, couples):
    """Check what a state dictionary has of the n arrays that may differ from the optimizer, but for their numbers."""
    if not isinstance(given, (list, tuple)):
        raise ValueError(f"`state_dict['groups']` must be a list, got {shown(given)}.")
    for k, record in enumerate(given):
        _check_group(f"state_dict['groups'][{k}]", record, own["carry"], n)
        _check_carry(f"state_dict['groups'][{k}]['carry']", record["carry"], couples)
    arrays = [record["array"] for record in given]
    if len({*arrays}) != len(arrays):
        raise ValueError(f"`state_dict['groups']` must have each array once, got {shown(arrays)}.")
    rates = [
        {record["array"]: record for record in records if "learning_rate" in record}
        for records in (given, own["groups"])
    ]
    plain = {"learning_rate": 0.0, "schedule": None}  # what an array without a learning rate of its own goes with
    for k in {*rates[0], *rates[1]}:
        _same_kind(f"state_dict['groups'] for array {k}", rates[0].get(k, plain), rates[1].get(k, plain))


def _check_group(name, record, carry, n):
    needed, rate = {"array", "hyperparameters", "carry"}, {"learning_rate", "schedule"}
    if not isinstance(record, dict) or {*record} - rate != needed or {*record} & rate not in (set(), rate):
        raise ValueError(
            f"`{name}` must have the entries 'array', 'carry' and 'hyperparameters', and both or none of "
            f"'learning_rate' and 'schedule', got {shown(record)}."
        )
    if n == 0:
        raise ValueError(f"`{name}` must be left out for a single array, got {shown(record)}.")
    integer(f"{name}['array']", record["array"], 0, n - 1)
    for key in ("hyperparameters", "carry"):
        fits = isinstance(record[key], dict) and (key != "carry" or {*record[key]} - {*OWED} == {*carry} - {*OWED})
        if not fits:
            raise ValueError(f"`{name}[{key!r}]` must be a dict like the optimizer's, got {shown(record[key])}.")


def unchanged_layout(copies):
    """Refuse arrays that no longer fit their targets: a schedule, which is the caller's code, has changed them."""
    for target, source in copies:
        fits = source.shape == target.shape and source.dtype == target.dtype and target.flags.writeable
        if not (fits and is_intact(source)):
            got = f"one of {source.dtype} and shape {source.shape}" if is_intact(source) else "one that was resized"
            raise ValueError(
                f"`state_dict` must keep its arrays while a schedule loads its state, got {got} "
                f"for {target.dtype} and shape {target.shape}."
            )


def state_arrays(slot, given, layouts):
    """Check the arrays that a state dictionary has for a slot; a layout is the shape and the dtype of one."""
    name = f"`state_dict['state'][{slot!r}]`"
    if not isinstance(given, (list, tuple)) or len(given) != len(layouts):
        raise ValueError(f"{name} must be a list of {len(layouts)} arrays, got {type(given).__name__}.")
    for k, (array, (shape, dtype)) in enumerate(zip(given, layouts, strict=True)):
        if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != shape:
            got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise ValueError(f"{name}[{k}] must be a {dtype} array of shape {shape}, got {got}.")
