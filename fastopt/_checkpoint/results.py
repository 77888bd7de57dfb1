"""Results of `minimize` in checkpoint files, without pickle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from .._finite_sum.method import FiniteSumMethod
from .._finite_sum.methods import FINITE_SUM_METHODS
from .._memory import base_view
from .._sparse.gradients import RowSparse
from .._types import StrPath, in_structure
from .._validation import minimize as validation
from .._validation import saved_results, saved_runs
from .._validation.parameters import flat_parameters
from ..optimizers import OPTIMIZERS, Optimizer
from . import schedules
from .files import contents_of, fits_optimizer, read

KINDS_OF_OPTIMIZERS = (Optimizer, FiniteSumMethod)
# What files of versions before 0.2 do not have.
OPTIONAL = {"schedule": schedules.check, "own_schedules": schedules.check_each}
CLASSES = {cls.__name__: cls for cls in (OPTIMIZERS | FINITE_SUM_METHODS).values()}


def tree_of(result):
    """A result as a tree of plain values and arrays; what it has beside the entries that `minimize` gives is left out.

    The caller has claimed its optimizer.
    """
    optimizer = result["optimizer"]
    params, keys = optimizer._flat_params, flat_parameters(optimizer.params, type(optimizer).__name__)[1]
    if isinstance(keys, tuple):
        saved_results.plain_keys(keys)
        keys = list(keys)
    x = flat(result["x"], keys)
    same = all(one is other for one, other in zip(x, params, strict=True))
    return {
        "keys": keys,
        "class": type(optimizer).__name__ if type(optimizer) in CLASSES.values() else None,
        "params": [base_view(array) for array in params],
        "x": [] if same else [base_view(array) for array in x],
        "jac": [] if result["jac"] is None else [_parts(each) for each in flat(result["jac"], keys)],
        "history": dict(result["history"]),
        "optimizer": optimizer._snapshot(),
        "schedule": schedules.tree_of(optimizer._values["learning_rate"]),
        "own_schedules": [schedules.tree_of(values["learning_rate"]) for values in optimizer._values_of_arrays()],
        **{name: result[name] for name in saved_results.PLAIN},
    }


def flat_keys(keys):
    """The keys of arrays one by one: those of a dict, or the indices of a list."""
    return keys if isinstance(keys, tuple) else range(keys or 1)


def flat(structured, keys):
    """The arrays in a structure of the parameters' keys."""
    if keys is None:
        return [structured]
    return [structured[key] for key in keys] if isinstance(keys, list) else list(structured)


def load_result(path: StrPath | BinaryIO, method: Callable[[Any], Any] | None = None) -> Any:
    """Load a result of `minimize` that `save` wrote.

    Parameters
    ----------
    path : str, os.PathLike or binary file
        The file. What is open for reading is read from its position to its end.
    method : callable, optional
        Makes the optimizer of the parameters, in their structure: a class, or a function as `minimize` takes it.
        Needed for a class that is not of fastopt, and for a schedule that is not one of `fastopt.schedules`, as those
        of ``jac="spsa"``: their code is not in the file.

    Returns
    -------
    OptimizeResult
        x, fun, jac, nit, nepoch, nfev, njev, success, status, message and history as they were saved, and the optimizer
        with its state, which goes on as `method` of `minimize`; None where it needs `method` and there is none.

    Raises
    ------
    CheckpointError
        When the file is damaged or not a checkpoint of a result.
    ValueError
        When the optimizer that `method` makes does not fit the saved one.
    TypeError
        When `method` is not callable, or makes something other than an optimizer of its argument.
    OSError
        When the file cannot be opened or read.

    See Also
    --------
    save : Write the file.

    Notes
    -----
    No code from the file is run. `num_threads` is not in it.

    Examples
    --------
    >>> import io
    >>> import numpy as np, fastopt
    >>> options = {"learning_rate": 0.1, "maxiter": 10}
    >>> res = fastopt.minimize(lambda x: (x @ x, 2 * x), [3.0, -2.0], method="adam", jac=True, options=options)
    >>> file = io.BytesIO()
    >>> fastopt.save(file, res)
    >>> again = fastopt.load_result(io.BytesIO(file.getvalue()))
    >>> np.array_equal(again.x, res.x), again.message == res.message, again.optimizer.step_count
    (True, True, 10)
    """
    from scipy.optimize import OptimizeResult

    if method is not None:
        validation.function("method", method)
    tree = read(path, "result")
    with contents_of(path):
        saved = {
            "schedule": None,
            "own_schedules": [],
            **saved_runs.record(_schema(tree), optional=OPTIONAL)("result", tree),
        }
        params, keys = saved.pop("params"), saved.pop("keys")
        jac = [_together(each) for each in saved["jac"]]
        cls = CLASSES.get(saved.pop("class"))
        if method is None:
            rates = saved["schedule"], saved["own_schedules"]
            optimizer = made_again(cls, rates, saved["optimizer"], in_structure(params, keys), keys)
    if method is not None:
        own = in_structure(params, keys)
        optimizer = validation.made_optimizer(method(own), in_structure(params, keys), KINDS_OF_OPTIMIZERS)
        with fits_optimizer(path), optimizer._claim("load_result()"):
            optimizer._load(saved["optimizer"], ())
    saved["x"], saved["optimizer"] = in_structure(saved["x"] or params, keys), optimizer
    saved["jac"] = in_structure(jac, keys) if jac else None
    order = ("x", "fun", "jac", "nit", "nepoch", "nfev", "njev", "success", "status", "message", "history", "optimizer")
    return OptimizeResult({name: saved[name] for name in order})


def _schema(tree):
    """The check of a tree: field -> check. Structure and parameters come first: other fields must fit them."""
    saved_runs.entries("result", tree, ("keys", "params"))
    keys = saved_results.structure("result['keys']", tree["keys"])
    params = saved_results.arrays("result['params']", tree["params"], keys)
    return {
        "keys": lambda name, value: keys,
        "class": saved_runs.optional(saved_results.text),
        "params": lambda name, value: params,
        "x": lambda name, value: saved_results.arrays_or_none(name, value, keys, params),
        "jac": lambda name, value: saved_results.gradients(name, value, params),
        "history": saved_results.history,
        "optimizer": saved_runs.a_dict,
        **saved_results.PLAIN,
    }


def made_again(cls, rates, saved, params, keys=None):
    """The optimizer of the parameters with its state; None where it cannot be known how it was made.

    `rates` are its schedule and those of its arrays, which its state leaves out.
    """
    schedule, own_schedules = rates
    rate = saved_runs.entries("optimizer", saved, ("learning_rate",))["learning_rate"]
    rate = schedule if rate is None else rate
    groups = saved_results.scheduled_groups(saved, own_schedules, flat_keys(keys))
    if cls is None or rate is None or groups is None:
        return None
    values = {} if cls in FINITE_SUM_METHODS.values() else saved.get("hyperparameters")
    own = {"groups": groups} if groups else {}
    values = saved_runs.a_dict("optimizer['hyperparameters']", values)
    optimizer = cls(params, learning_rate=rate, **values | own)
    optimizer._load(saved, ())
    return optimizer


# --- gradients -------------------------------------------------------------------------------------------


def _parts(gradient):
    """A gradient as a tree."""
    if gradient is None:
        return {"kind": "none"}
    if isinstance(gradient, RowSparse):
        parts = {"indices": gradient.indices, "rows": gradient.rows, "unique": gradient.unique}
        return {"kind": "rows", **parts}
    if hasattr(gradient, "tocoo"):
        import scipy.sparse

        coo = gradient.tocoo()
        coords, shape = [np.asarray(each) for each in coo.coords], [int(n) for n in coo.shape]
        matrix = isinstance(gradient, scipy.sparse.spmatrix)
        parts = {"format": gradient.format, "matrix": matrix, "shape": shape, "coords": coords, "values": coo.data}
        return {"kind": "sparse", **parts}
    return {"kind": "dense", "values": gradient}


def _together(parts):
    """The opposite."""
    if parts["kind"] == "none":
        return None
    if parts["kind"] == "dense":
        return parts["values"]
    if parts["kind"] == "rows":
        return RowSparse(parts["indices"], parts["rows"], parts["unique"])
    import scipy.sparse

    make = scipy.sparse.coo_matrix if parts["matrix"] else scipy.sparse.coo_array
    return make((parts["values"], tuple(parts["coords"])), shape=parts["shape"]).asformat(parts["format"])
