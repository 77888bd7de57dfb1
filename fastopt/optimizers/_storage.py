"""How the slots of the state are stored: in the dtype of their parameters, or in fewer bits.

The codes themselves are C (csrc/update/storage.h), and so is what each slot holds, in the file of its rule.
"""

from __future__ import annotations

import textwrap

import numpy as np

from .. import _core, _validation
from .._memory import base_view

STATE_DTYPES = ("float32", "bfloat16", "log8")
# Of state dictionaries that are older than these hyper-parameters.
BEFORE = {"state_dtype": None, "state_seed": 0}


def check_storages(optimizer, arrays, keys, values):
    """Refuse a `state_dtype` that the rule or its parameters cannot have."""
    owner, state_dtype = type(optimizer).__name__, values["state_dtype"]
    if state_dtype is None:
        return
    if not _core.slot_storages(optimizer.rule, values):
        possible = [name for name, content in _core.slot_contents(optimizer.rule).items() if content != "whole"]
        _validation.storages.refuse_whole_state(owner, state_dtype, possible)
    _validation.storages.check_dtypes(arrays, keys, state_dtype)
    if _core.takes_rows(optimizer.rule):
        _validation.storages.check_rows(arrays, keys, owner, _core.LONGEST_ROW)


def decoded(params, arrays, storage):
    """Read-only float32 copies of a slot that is stored in fewer bits, one for each parameter."""
    pairs = zip(params, arrays, strict=True)
    copies = [_numbers(base_view(param), array, storage).astype(np.float32) for param, array in pairs]
    for copy in copies:
        copy.flags.writeable = False
    return tuple(copies)


def _numbers(param, array, storage):
    """A slot of one parameter in its dtype."""
    if storage is None or array.dtype == param.dtype:
        return array
    return _core.Codes(param, storage, array).decoded()


def stored_alike(optimizer, given):
    """A state dictionary whose state is stored as that of an optimizer, whatever it was stored as."""
    if not isinstance(given, dict) or not isinstance(given.get("hyperparameters"), dict):
        return given  # what is wrong is said elsewhere
    declared, hyper = optimizer._declared, BEFORE | given["hyperparameters"]
    theirs = declared["state_dtype"].check(hyper["state_dtype"])
    given = given | {"hyperparameters": hyper | {"state_dtype": optimizer.state_dtype}}
    slots = optimizer._slots_by_name()
    if theirs == optimizer.state_dtype or not isinstance(given.get("state"), dict) or set(given["state"]) != set(slots):
        return given
    seed = declared["state_seed"].check(hyper["state_seed"])
    params = [base_view(param) for param in optimizer._flat_params]
    _validation.storages.check_saved(params, theirs)
    before = _core.slot_storages(optimizer.rule, optimizer._values | {"state_dtype": theirs})
    after = _core.slot_storages(optimizer.rule, optimizer._values)
    shapes = _core.slot_shapes(optimizer.rule, optimizer._values)
    state = {}
    for name, arrays in given["state"].items():
        layouts = [_core.slot_layout(param, shapes[name], before.get(name)) for param in params]
        _validation.state_dicts.state_arrays(name, arrays, layouts)
        state[name] = [
            _stored(param, _numbers(param, array, before.get(name)), after.get(name), seed)
            for param, array in zip(params, arrays, strict=True)
        ]
    return given | {"state": state}


def _stored(param, numbers, storage, seed):
    """A slot of one parameter, given in its dtype, as it is stored."""
    shape, dtype = _core.slot_layout(param, "entry", storage)
    if storage is None or dtype == param.dtype:
        return numbers
    array = np.zeros(shape, dtype)
    _core.Codes(param, storage, array, seed).encode(np.multiply(numbers, 1, order="C"))  # which makes any NaN quiet
    return array


def state_note(rule):
    """What a docstring says about `state_dtype`."""
    contents = _core.slot_contents(rule)
    by_content = {kind: _listed([name for name, content in contents.items() if content == kind])
                  for kind in ("moment", "second moment", "whole")}  # fmt: skip
    moments, seconds, whole = by_content.values()
    if not moments and not seconds:
        return "Store the state in fewer bits. It must be None here, where all state has to be exact."
    text = "Store the state in fewer bits than the parameters have. "
    text += '"float32" is for float64 parameters, "bfloat16" and "log8" (8-bit logarithms) are for float32. '
    if moments and seconds:
        text += f'With "log8" {moments} {"is" if " " not in moments else "are"} bfloat16. '
    elif moments:
        text += "Here the last two are the same, as nothing is a second moment. "
    if whole:
        text += f"{whole} {'stays' if ' ' not in whole else 'stay'} whole. "
    text += "Under float32, rounding is at random, and the mean exact: see the guide on memory."
    return "\n    ".join(textwrap.wrap(text, 100))


def _listed(names):
    names = [f"``{name}``" for name in names]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
