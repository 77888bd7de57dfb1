"""`save` and `load`: an optimizer and its parameters in a checkpoint."""

from __future__ import annotations

import math
from typing import Any, BinaryIO

import numpy as np

from .. import _validation
from .._finite_sum.method import FiniteSumMethod
from .._memory import base_view
from .._types import StrPath, Structure
from ..optimizers import Optimizer
from . import estimators
from .files import fits_optimizer, opened, read, write
from .results import KINDS_OF_OPTIMIZERS, tree_of
from .slices import Piece, check_piece, state_of_parts


def save(path: StrPath | BinaryIO, optimizer: Any) -> None:
    """Write an optimizer and its parameters, a result of `minimize` or an estimator to a file without pickle.

    Parameters
    ----------
    path : str, os.PathLike or binary file
        The file, by convention with the suffix ``.npz``; none is added. A link is followed. What is open for writing is
        written to from its position on.
    optimizer : Optimizer, OptimizeResult or estimator
        An optimizer, also that of a run of SAGA or SVRG, for `load`: it continues with the same bits. Or a result
        of `minimize`, with its optimizer, for `load_result`. Or an estimator of ``fastopt.linear_model``, fitted or
        not, for `load`. Left as it is; its arrays are written without a copy.

    Raises
    ------
    TypeError
        When `optimizer` is none of these, the `state_dict` of its learning-rate schedule holds something other
        than numbers, strings, None and arrays of numbers, in lists and dicts, a result has parameters with keys that
        are no strings or integers, or an estimator has a function or a random generator among its parameters; nothing
        is written then.
    ValueError
        When an optimizer of the class SAGA or SVRG has not run, or a result has not all entries that `minimize` gives
        it; nothing is written then.
    OSError
        When the file cannot be written; what was there before is still there.
    RuntimeError
        When a step of `optimizer` is under way, in another thread. One that starts while the file is written is
        refused.

    See Also
    --------
    load : Continue from the file.
    load_result : Load a result.

    Notes
    -----
    The file is replaced atomically once all of the new one is on disk: whenever the machine stops, the file is the old
    one or the new one. A process that is killed while it writes leaves a file ``.fastopt-*.tmp`` beside it, which the
    next save to the same path removes. Temporary files that another process is writing stay, as do those of other
    machines that share the folder, for an hour. An open file is not replaced but written to once all is known to be
    writable, from a copy in memory.

    In the file are the parameters and what `Optimizer.state_dict` returns, and the entries of a result. `num_threads`
    is not, and a learning-rate schedule only with a result, if it is one of `fastopt.schedules`; the counters of a
    schedule that has `state_dict` are. ``numpy.load`` reads the file, as it is an uncompressed archive of arrays
    without pickle, with a checksum.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, fastopt
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "run.npz")
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.Adam(x, learning_rate=0.1)
    >>> opt.step(2 * x)
    >>> fastopt.save(path, opt)
    >>> os.listdir(folder.name)
    ['run.npz']
    >>> folder.cleanup()
    """
    if isinstance(optimizer, dict):
        _save_result(path, optimizer)
        return
    if estimators.is_estimator(optimizer):
        write(path, "estimator", optimizer._saved())
        return
    _check_optimizer(optimizer)
    if isinstance(optimizer, FiniteSumMethod) and not optimizer.state:
        _validation.saved_results.refuse_unused(type(optimizer).__name__)
    with optimizer._claim("save()"):
        params = {"params": [base_view(array) for array in optimizer._flat_params], "names": _names(optimizer)}
        write(path, "optimizer", optimizer._snapshot() | params)


def _save_result(path, result):
    _validation.saved_results.complete_result(result, KINDS_OF_OPTIMIZERS)
    with result["optimizer"]._claim("save()"):
        write(path, "result", tree_of(result))


def load(
    path: StrPath | BinaryIO, optimizer: Optimizer | FiniteSumMethod | None = None, *, starts: Structure | None = None
) -> Any:
    """Load the parameters and the state that `save` wrote; the next step has the same bits as without the interruption.

    Parameters
    ----------
    path : str, os.PathLike or binary file
        The file. What is open for reading is read from its position to its end.
    optimizer : Optimizer, SAGA or SVRG, optional
        None for an estimator, which is made anew. Of the class of the saved one, over arrays of the same shapes and
        dtypes, which are overwritten in place. Its learning rate must be of the same kind, a number or a schedule. The
        saved hyper-parameters replace its own, but for `num_threads`; so does a learning rate that is a number.
    starts : int, or list or dict of int, optional
        For an optimizer whose arrays are parts of the saved ones, consecutive entries in C order: the entry with which
        each of them begins, in the structure of the parameters. No more than the parts is in memory. They may have
        other shapes; where state has a number for each row, they are whole rows. The steps that follow have the bits of
        the whole, where `clip_norm` and `nonfinite` are given the `stats` of all parts. `path` is a path then.

    Returns
    -------
    estimator or None
        The estimator that was saved; None with `optimizer`.

    Raises
    ------
    CheckpointError
        When the file is damaged or not a checkpoint of an optimizer, or without `optimizer` of an estimator.
    ValueError
        When the checkpoint is intact but does not fit `optimizer`.
    TypeError
        When `optimizer` is not an optimizer.
    OSError
        When the file cannot be opened or read.
    RuntimeError
        When a step of `optimizer` is under way, in another thread.

    See Also
    --------
    save : Write the file.

    Notes
    -----
    With an exception nothing has changed: all of the file is read and checked first, into memory for a second copy of
    the parameters and the state. Ctrl-C leaves all of it loaded, or nothing. No code from the file is run.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, fastopt
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "run.npz")
    >>> x = np.array([3.0, -2.0])
    >>> opt = fastopt.Adam(x, learning_rate=0.1)
    >>> opt.step(2 * x)
    >>> fastopt.save(path, opt)

    A later run makes the optimizer over arrays of its own, and continues:

    >>> y = np.zeros(2)
    >>> resumed = fastopt.Adam(y, learning_rate=0.1)
    >>> fastopt.load(path, resumed)
    >>> resumed.step_count
    1
    >>> opt.step(2 * x)
    >>> resumed.step(2 * y)
    >>> np.array_equal(x, y)
    True
    >>> folder.cleanup()
    """
    if optimizer is None:
        return estimators.load_estimator(path)
    _check_optimizer(optimizer)
    if starts is not None:
        return _load_part(path, optimizer, starts)
    tree = read(path, "optimizer")
    with fits_optimizer(path), optimizer._claim("load()"):
        params = _fitting_params(tree, optimizer)
        optimizer._load(tree, tuple(zip(optimizer._flat_params, params, strict=True)))


def _load_part(path, optimizer, starts):
    """Load what an optimizer over parts of the saved arrays needs."""
    _validation.files.part_of_optimizer(optimizer, Optimizer, path)
    with opened(path, "optimizer") as tree, fits_optimizer(path), optimizer._claim("load()"):
        piece = Piece(tree, [0] * len(optimizer._flat_params))
        check_piece(piece, optimizer)
        _same_names(tree, optimizer)
        sizes = [math.prod(each.shape) for each in tree["params"]]
        starts = _validation.files.starts(starts, optimizer, sizes)
        load_state(optimizer, *state_of_parts([piece], optimizer, starts), starts)


def load_state(optimizer, state, params, starts):
    """Load parts of arrays that begin with the entries `starts`; the caller has claimed the optimizer."""
    own, _ = _validation.parameters.flat_parameters(optimizer.params, type(optimizer).__name__)
    optimizer._load(state, tuple(zip(own, params, strict=True)))
    optimizer._set_places(list(enumerate(starts)))


def _check_optimizer(optimizer):
    if not isinstance(optimizer, KINDS_OF_OPTIMIZERS):
        raise TypeError(f"`optimizer` must be a fastopt.Optimizer, got {type(optimizer).__name__}.")


def _names(optimizer):
    """The keys of a dict of parameters if they can be told apart as strings, else None."""
    params = optimizer.params
    named = isinstance(params, dict) and all(isinstance(key, str) for key in params)
    return list(params) if named else None


def _fitting_params(tree, optimizer):
    """The parameters of a tree, checked to be copied into those of an optimizer without an error."""
    own, keys = _validation.parameters.flat_parameters(  # may have been made read-only since
        optimizer.params, type(optimizer).__name__
    )
    given = tree.get("params") if isinstance(tree, dict) else None
    if not isinstance(given, list) or len(given) != len(own):
        got = f"{len(given)} of them" if isinstance(given, list) else type(given).__name__
        raise ValueError(f"`params` must be saved as a list of {len(own)} arrays, got {got}.")
    _same_names(tree, optimizer)
    for k, (array, mine) in enumerate(zip(given, own, strict=True)):
        _check_same_kind(_validation.parameters.label("params", keys, k), array, mine)
    return given


def _same_names(tree, optimizer):
    """Arrays of one shape whose names were exchanged would be mistaken for each other."""
    saved, names = tree.get("names"), _names(optimizer)
    if saved is not None and names is not None and saved != names:
        raise ValueError(f"`params` must have the keys {saved!r} in this order, got {names!r}.")


def _check_same_kind(name, saved, own):
    if not isinstance(saved, np.ndarray) or saved.dtype != own.dtype or saved.shape != own.shape:
        wanted = f"{saved.dtype} of shape {saved.shape}" if isinstance(saved, np.ndarray) else type(saved).__name__
        raise ValueError(f"{name} must be {wanted} like the saved one, got {own.dtype} of shape {own.shape}.")
