"""Checks of results of `minimize` that are saved, and of what a file has for one."""

import math

import numpy as np

from .._types import DTYPES
from . import saved_runs
from .parameters import is_native
from .scalars import flag, integer
from .text import shown

#: Columns of the history of a run, one entry per epoch, with the dtype of each.
HISTORY = {"iteration": np.int64, "epoch": np.int64, "fun": float, "learning_rate": float, "grad_norm": float,
           "time": float}  # fmt: skip

#: Entries of a result that are numbers, True or False, or a string, with the check of each.
PLAIN = {
    "fun": saved_runs.number_or_nan(),
    "nit": saved_runs.count(),
    "nepoch": saved_runs.count(),
    "nfev": saved_runs.count(),
    "njev": saved_runs.count(),
    "success": flag,
    "status": lambda name, value: integer(name, value, 0, 99),
    "message": lambda name, value: text(name, value),
}


def complete_result(result, optimizers):
    """Refuse what is no result of `minimize`; `optimizers` are the classes that its optimizer may be of."""
    needed = ("x", "jac", "history", "optimizer", *PLAIN)
    if not isinstance(result, dict) or not isinstance(result.get("optimizer"), optimizers):
        raise TypeError(
            f"`optimizer` must be a fastopt.Optimizer or a result of fastopt.minimize, got {type(result).__name__}."
        )
    missing = [name for name in needed if name not in result]
    if missing:
        raise ValueError(f"`optimizer` must be a whole result of fastopt.minimize, got none of its {shown(missing)}.")


def refuse_unused(name):
    """Raise for the optimizer of a run, if there was none."""
    raise ValueError(
        f"`optimizer` must have run to be saved, got {name} without a state; "
        "pass the one in a result of fastopt.minimize."
    )


def plain_keys(keys):
    """Refuse keys of parameters that could not be told apart, or not be made again, after they were saved."""
    for key in keys:
        if type(key) not in (str, int):
            raise TypeError(f"`x` of a result must have strings or integers as keys to be saved, got {shown(key)}.")


def text(name, value):
    """Return a string."""
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be a string, got {type(value).__name__}.")
    return value


def made(name, cls, parameters):
    """Return what a class makes of saved parameters; it checks them itself."""
    try:
        return cls(**parameters)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must have parameters of {cls.__name__}: {error}") from None


def structure(name, value):
    """A check of the structure of parameters: None for one array, the length of a list, or the list of keys."""
    if isinstance(value, list):
        plain = all(type(key) in (str, int) for key in value)
        if not value or not plain or len(set(value)) != len(value):
            raise ValueError(f"`{name}` must be a list of different strings and integers, got {shown(value)}.")
        return tuple(value)
    return None if value is None else integer(name, value, 1, saved_runs.MOST)


def arrays(name, value, keys, like=None):
    """Return one array of parameters for each of the keys, in shapes and dtypes of others if there are any."""
    n = 1 if keys is None else keys if isinstance(keys, int) else len(keys)
    if not isinstance(value, list) or len(value) != n:
        raise ValueError(f"`{name}` must be a list of {n} arrays, got {shown(value)}.")
    for k, array in enumerate(value):
        if like is not None:
            saved_runs.array(like[k].dtype, like[k].shape)(f"{name}[{k}]", array)
        elif not isinstance(array, np.ndarray) or not is_native(array.dtype, DTYPES):
            raise ValueError(f"`{name}[{k}]` must be a float32 or float64 array, got {shown(array)}.")
    return value


def arrays_or_none(name, value, keys, like):
    """Return what `arrays` returns, or an empty list."""
    return value if isinstance(value, list) and not value else arrays(name, value, keys, like)


def history(name, value):
    """Return a history: arrays of one length, those that there always are and others of float64."""
    saved_runs.entries(name, value, HISTORY)
    dtypes, length = {key: HISTORY.get(key, np.float64) for key in value}, np.shape(value["epoch"])[:1]
    return {key: saved_runs.array(dtype, length)(f"{name}[{key!r}]", value[key]) for key, dtype in dtypes.items()}


def gradients(name, value, params):
    """Return what there is for the gradients of some parameters: an empty list, or one with one for each."""
    if isinstance(value, list) and not value:
        return value
    if not isinstance(value, list) or len(value) != len(params):
        raise ValueError(f"`{name}` must be a list of {len(params)} gradients, got {shown(value)}.")
    return [_gradient(f"{name}[{k}]", each, param) for k, (each, param) in enumerate(zip(value, params, strict=True))]


def _gradient(name, value, param):
    """A dense gradient, or the parts of a sparse one, which are put together by the class that they are of."""
    kind = saved_runs.entries(name, value, ("kind",))["kind"]
    dense = {"kind": text, "values": saved_runs.array(param.dtype, param.shape)}
    rows = {"kind": text, "indices": _indices, "unique": flag,
            "rows": saved_runs.array(param.dtype, (None, *param.shape[1:]))}  # fmt: skip
    sparse = {"kind": text, "format": text, "matrix": flag, "shape": _shape_of(param), "coords": _list_of(_indices),
              "values": saved_runs.array(param.dtype, (None,))}  # fmt: skip
    schemas = {"dense": dense, "rows": rows, "sparse": sparse}
    if not isinstance(kind, str) or kind not in schemas:
        raise ValueError(f"`{name}['kind']` must be one of {', '.join(schemas)}, got {shown(kind)}.")
    return saved_runs.record(schemas[kind])(name, value)


def _indices(name, value):
    if not isinstance(value, np.ndarray) or value.dtype not in (np.dtype(np.int32), np.dtype(np.int64)):
        raise ValueError(f"`{name}` must be an array of int32 or int64, got {shown(value)}.")
    return value


def _list_of(check):
    return lambda name, value: [check(f"{name}[{k}]", each) for k, each in enumerate(list_of_at_most(name, value, 2))]


def _shape_of(param):
    """A check of the shapes of a sparse gradient: as many entries as its parameter has."""

    def check(name, value):
        shape = [integer(f"{name}[{k}]", n, 0, saved_runs.MOST) for k, n in enumerate(list_of_at_most(name, value, 2))]
        if math.prod(shape) != param.size:
            raise ValueError(f"`{name}` must be a shape of {param.size} entries, got {shown(value)}.")
        return tuple(shape)

    return check


def list_of_at_most(name, value, most):
    """Return a list that is not longer."""
    if not isinstance(value, list) or len(value) > most:
        raise ValueError(f"`{name}` must be a list of at most {most} items, got {shown(value)}.")
    return value
