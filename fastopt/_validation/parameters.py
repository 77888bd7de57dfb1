"""Parameters: arrays that are updated in place."""

import itertools
import sys

import numpy as np

from .._types import DTYPES, INDEX_DTYPES


def label(name, keys, k):
    """The name of array k of an argument in messages: `grad`, `grad[2]` or `grad['w']`."""
    if keys is None:
        return f"`{name}`"
    return f"`{name}[{keys[k]!r}]`" if isinstance(keys, tuple) else f"`{name}[{k}]`"


def flat_parameters(params):
    """Return the arrays of `params` as a tuple, and its structure.

    The structure is None for one array, the length of a list, or the tuple of keys of a dict.
    """
    if isinstance(params, np.ndarray):
        arrays, keys = (params,), None
    elif isinstance(params, dict):
        arrays, keys = tuple(params.values()), tuple(params)
    elif isinstance(params, (list, tuple)):
        arrays, keys = tuple(params), len(params)
    else:
        raise TypeError(
            f"`params` must be a NumPy array, or a list or dict of them, got {type(params).__name__}; "
            "pass np.asarray(params, dtype=np.float64)."
        )
    if not arrays:
        raise ValueError(f"`params` must hold at least one array, got {params!r}.")
    for k, array in enumerate(arrays):
        _check_parameter(label("params", keys, k), array)
    _check_disjoint(arrays, keys)
    return arrays, keys


# Names -> dtypes: comparing with these is quick, while the name of a dtype is put together by Python in each step.
NATIVE = {names: tuple(np.dtype(name) for name in names) for names in (DTYPES, INDEX_DTYPES)}


def is_native(dtype, names):
    """Whether a dtype has one of the names, DTYPES or INDEX_DTYPES, and the byte order of the machine."""
    return dtype in NATIVE[names]


def is_masked(array):
    """Whether it is a masked array, without an import of numpy.ma: before that no masked array exists.

    NumPy imports numpy.ma at the first use of `np.ma`. A child process that another thread forks during that import
    would wait for it for ever.
    """
    return isinstance(array, getattr(sys.modules.get("numpy.ma"), "MaskedArray", ()))


def _check_parameter(name, array):
    if not isinstance(array, np.ndarray) or is_masked(array):
        raise TypeError(f"{name} must be a NumPy array, got {type(array).__name__}.")
    if array.dtype.kind == "f" and array.dtype.name in DTYPES and not array.dtype.isnative:
        raise TypeError(
            f"{name} must be of native byte order, got dtype {array.dtype.str!r}; "
            f"pass params.astype(np.{array.dtype.name})."
        )
    if array.dtype.name not in DTYPES:
        raise TypeError(f"{name} must be float32 or float64, got {array.dtype}; pass params.astype(np.float64).")
    if not array.flags.writeable:
        raise ValueError(f"{name} must be writable, as it is updated in place, got a read-only array; pass a copy.")
    if not array.flags.c_contiguous:
        raise ValueError(
            f"{name} must be C-contiguous, as it is updated in place, got shape {array.shape} with strides "
            f"{array.strides}; pass np.ascontiguousarray(params) and use that array from then on."
        )
    if not array.flags.aligned:
        raise ValueError(f"{name} must be aligned to its dtype, got a misaligned array; pass params.copy().")


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
