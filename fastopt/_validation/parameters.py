"""Parameters: arrays that are updated in place."""

import itertools
import numbers

import numpy as np

from .._types import DTYPES, INDEX_DTYPES
from . import conversions
from .text import shown


def label(name, keys, k):
    """The name of array k of an argument in messages: `grad`, `grad[2]` or `grad['w']`."""
    if keys is None:
        return f"`{name}`"
    return f"`{name}[{shown(keys[k])}]`" if isinstance(keys, tuple) else f"`{name}[{k}]`"


def expression(name, keys, k):
    """How the caller writes what `label` names."""
    return label(name, keys, k).strip("`")


def flat_parameters(params, owner):
    """Return the arrays of `params` as a tuple, and its structure.

    The structure is None for one array, the length of a list, or the tuple of keys of a dict. `owner` is the name of
    the class that is to update them.
    """
    if isinstance(params, np.ndarray):
        arrays, keys = (params,), None
    elif isinstance(params, dict):
        arrays, keys = tuple(params.values()), tuple(params)
    elif isinstance(params, (list, tuple)):
        arrays, keys = tuple(params), len(params)
    else:
        container = conversions.as_container("params", params)
        if container is None:
            advice = _bind_instead("params", conversions.own_array("params", params), owner)
        else:
            advice = f"; make it one first: params = {container}; opt = {owner}(params)"
        raise TypeError(
            f"`params` must be a NumPy array, or a list or dict of them, got {type(params).__name__}{advice}."
        )
    if not arrays:
        raise ValueError(f"`params` must hold at least one array, got {params!r}.")
    for k, array in enumerate(arrays):
        problem = _problem(array)
        if problem is not None:
            _refuse_parameter(problem, array, (keys, k), params, owner)
    _check_disjoint(arrays, keys)
    return arrays, keys


# BLAS counts in 32 bits.
MOST_LINES = 2**31 - 1

# Names -> dtypes: comparing with these is quick, while the name of a dtype is put together by Python in each step.
NATIVE = {names: tuple(np.dtype(name) for name in names) for names in (DTYPES, INDEX_DTYPES)}


def is_native(dtype, names):
    """Whether a dtype has one of the names, DTYPES or INDEX_DTYPES, and the byte order of the machine."""
    return dtype in NATIVE[names]


def _problem(array):
    """Why an array cannot be a parameter: an exception and the constraint with what was got; None if it can."""
    if not isinstance(array, np.ndarray) or conversions.is_masked(array):
        return TypeError, f"must be a NumPy array, got {type(array).__name__}"
    if array.dtype.kind == "f" and array.dtype.name in DTYPES and not array.dtype.isnative:
        return TypeError, f"must be of native byte order, got dtype {array.dtype.str!r}"
    if array.dtype.name not in DTYPES:
        return TypeError, f"must be float32 or float64, got {array.dtype}"
    if not array.flags.writeable:
        return ValueError, "must be writable, as it is updated in place, got a read-only array"
    if not array.flags.c_contiguous:
        return ValueError, (
            f"must be C-contiguous, as it is updated in place, got shape {array.shape} with strides {array.strides}"
        )
    if not array.flags.aligned:
        return ValueError, "must be aligned to its dtype, got a misaligned array"
    return None


def _refuse_parameter(problem, array, place, params, owner):
    """Raise for what cannot be a parameter, with what to bind in its place."""
    exception, words = problem
    name = expression("params", *place)
    if isinstance(array, dict) and "params" in array:
        advice = f"; make an optimizer for each group: [{owner}(group['params']{_rate(params)}) for group in params]"
    elif _is_group(params):
        rate = ", learning_rate=params['lr']" if "lr" in params else ""
        advice = f"; take the arrays out of the group: opt = {owner}(params['params']{rate})"
    elif isinstance(params, (list, tuple)) and _is_one_array(params):
        advice = _bind_instead("params", conversions.own_array("params", params), owner)
    elif isinstance(array, (dict, list, tuple)) and array and not conversions.holds_real_numbers(array):
        advice = "; bind one flat list or dict of arrays"
    elif array is None:
        advice = "; leave it out"
    else:
        first = "params = list(params); " if isinstance(params, tuple) else ""
        advice = _bind_instead(name, conversions.own_array(name, array), owner, first)
    raise exception(f"{label('params', *place)} {words}{advice}.")


def _rate(groups):
    """The argument that hands on the learning rates of a list of groups; one that is missing needs a value."""
    with_rate = ["lr" in group for group in groups if isinstance(group, dict)]
    if all(with_rate):
        return ", learning_rate=group['lr']"
    return ", learning_rate=group.get('lr', 0.001)" if any(with_rate) else ""


def _is_group(params):
    """Whether it is what torch calls a group: parameters under "params", and options, which are no arrays."""
    if not isinstance(params, dict) or "params" not in params:
        return False
    return not any(isinstance(value, np.ndarray) for key, value in params.items() if key != "params")


def _is_one_array(params):
    """Whether a list has numbers, or lists of numbers, where it should have arrays: it is one array then."""
    return all(isinstance(each, (numbers.Real, list, tuple)) for each in params) and (
        conversions.holds_real_numbers(params)
    )


def _bind_instead(name, converted, owner, first=""):
    """Advice to bind another array; a converted one that the caller does not keep would be trained and lost."""
    if converted is None:
        return ""
    return f"; bind the converted array and read the result there: {first}{name} = {converted}; opt = {owner}(params)"


def check_matrices(arrays, keys, owner, takes_vectors):
    """Refuse parameters for a rule of matrices: those with fewer than two axes, and those that BLAS cannot count."""
    for k, array in enumerate(arrays):
        if array.ndim < 2 and not takes_vectors:
            raise ValueError(
                f"{label('params', keys, k)} must be a matrix, or a stack of matrices, as {owner} takes no vectors, "
                f"got shape {array.shape}; use another optimizer for it, such as fastopt.AdamW."
            )
        if array.size > MOST_LINES and max(array.shape[-2:]) > MOST_LINES:
            raise ValueError(
                f"{label('params', keys, k)} must have at most {MOST_LINES:,} rows and columns for {owner}, got shape "
                f"{array.shape}; use another optimizer for it, such as fastopt.AdamW."
            )


def _check_disjoint(arrays, keys):
    """Two contiguous arrays overlap exactly if their byte ranges do."""
    spans = sorted((array.ctypes.data, array.ctypes.data + array.nbytes, k) for k, array in enumerate(arrays))
    spans = [span for span in spans if span[0] < span[1]]
    pairs = [(a[2], b[2]) for a, b in itertools.pairwise(spans) if b[0] < a[1]]
    first = {}
    pairs += [(first[id(array)], k) for k, array in enumerate(arrays) if first.setdefault(id(array), k) != k][:1]
    for j, k in pairs:
        raise ValueError(
            f"{label('params', keys, max(j, k))} must not share memory with {label('params', keys, min(j, k))}, "
            "as each entry is updated once a step, got overlapping arrays; pass each array once."
        )


def refuse_moved(name, owner, now, before):
    """Raise for an array that is no longer what an optimizer or an objective was made of."""
    if now.dtype != before.dtype:
        got = f"an array re-typed from {before.dtype} to {now.dtype}"
    elif now.shape != before.shape and now.size == before.size:
        got = f"an array reshaped from {before.shape} to {now.shape}"
    elif now.shape == before.shape and now.strides != before.strides:
        got = f"an array whose strides have changed from {before.strides} to {now.strides}"
    else:
        got = "an array that has been resized"
    raise ValueError(f"{name} must stay where it was when the {owner} was made, got {got}; make a new {owner}.")


def refuse_read_only(name):
    """Raise for a parameter that can no longer be updated in place."""
    raise ValueError(f"{name} must be writable, got an array made read-only since.")
