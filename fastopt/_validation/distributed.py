"""Checks of what the ranks of a communicator are given, and their messages."""

import errno
import math
import os

import numpy as np

from .._types import DTYPES
from . import gradients
from .conversions import is_masked
from .gradients import gradient_array, refuse_gradient
from .parameters import is_native, label
from .scalars import integer, real
from .sparse_gradients import row_indices, row_values
from .text import shown

# What the collectives of fastopt call, of mpi4py's communicators.
METHODS = ("Get_rank", "Get_size", "Allgather", "Allgatherv", "Alltoall", "Alltoallv")
REDUCTIONS = ("mean", "sum")


def communicator(comm):
    """Return a communicator, which has the methods that are called."""
    missing = [name for name in METHODS if not callable(getattr(comm, name, None))]
    if missing:
        raise TypeError(
            f"`comm` must be a communicator such as `mpi4py.MPI.COMM_WORLD`, got {shown(comm)}, which has no "
            f"method {', '.join(missing)}."
        )
    if not comm:
        raise ValueError("`comm` must be a communicator that this process is in, got COMM_NULL.")
    if getattr(comm, "is_inter", False):
        raise ValueError("`comm` must be of one group of processes, got an intercommunicator, whose `Merge` makes one.")
    return comm


def same_value(name, first, other, rank):
    """The exception about a value that rank 0 and another rank do not have in common."""
    if other == first:
        other = "another one"
    name = name if "`" in name else f"`{name}`"
    return ValueError(f"{name} must be the same on all ranks, got {first} on rank 0 and {other} on rank {rank}.")


# --- reductions ------------------------------------------------------------------------------------------


def reduction(reduce):
    """Return what gradients of ranks become: "mean" or "sum"."""
    if reduce not in REDUCTIONS:
        raise ValueError(f'`reduce` must be "mean" or "sum", got {shown(reduce)}.')
    return reduce


def number_of_parts(parts, n_ranks):
    """Return a number of parts of which each rank has one at least."""
    parts = integer("parts", parts, 1)
    if parts < n_ranks:
        raise ValueError(f"`parts` must be at least the number of ranks, {n_ranks}, got {parts}.")
    return parts


def gradients_of_parts(grads, n):
    """Return the gradients of a rank's own parts."""
    if not isinstance(grads, (list, tuple)) or len(grads) != n:
        got = f"{len(grads)} of them" if isinstance(grads, (list, tuple)) else type(grads).__name__
        raise ValueError(
            f"`grad` must be a list of the gradients of this rank's {n} parts, as `local_parts` says, got {got}."
        )
    return grads


def kinds_of_gradients(grads, keys):
    """What all ranks must have in common: the structure, and per gradient how it lies, its dtype and its shape."""
    names = [label("grad", keys, k) for k in range(len(grads))]
    return [repr(keys), [_kind_of_gradient(*each) for each in zip(names, grads, strict=True)], names]


def _kind_of_gradient(name, grad):
    """None where there is no gradient; of sparse ones the shape of a row."""
    if grad is None:
        return None
    if hasattr(grad, "indices") and hasattr(grad, "rows"):
        rows = row_values(grad.rows, row_indices(grad.indices))  # which may have been changed since they were checked
        return ["rows", rows.dtype.name, rows.shape[1:]]
    if not isinstance(grad, np.ndarray) or is_masked(grad):
        raise TypeError(f"{name} must be a NumPy array or a RowSparse, got {type(grad).__name__}.")
    if not is_native(grad.dtype, DTYPES):
        raise TypeError(f"{name} must be float32 or float64, got {grad.dtype}.")
    return ["dense", grad.dtype.name, grad.shape]


def merged_kinds(of_ranks):
    """The kind of each gradient, from those of the parts of each rank, some of which may lack it."""
    first = of_ranks[0][0]
    merged = list(first[1])
    for rank, of_parts in enumerate(of_ranks):
        for keys, kinds, names in of_parts:
            if keys != first[0] or len(kinds) != len(merged):
                raise same_value("grad", f"the structure {first[0]}", keys, rank)
            for k, kind in enumerate(kinds):
                if kind is not None and merged[k] not in (None, kind):
                    raise same_value(names[k].strip("`"), _in_words(merged[k]), _in_words(kind), rank)
                merged[k] = merged[k] or kind
    return merged


def _in_words(kind):
    layout, dtype, shape = kind
    shape = tuple(shape)
    return f"{dtype} of shape {shape}" if layout == "dense" else f"a RowSparse with {dtype} rows of shape {shape}"


# --- sharded optimizers and tables -----------------------------------------------------------------------


def optimizer_class(cls, base):
    """Refuse what is no class of optimizers with an update rule."""
    if not (isinstance(cls, type) and issubclass(cls, base)) or cls.rule is None:
        raise TypeError(f"`cls` must be a class of optimizers such as fastopt.AdamW, got {shown(cls)}.")


def refuse_coupled(name):
    """Raise for an optimizer whose steps depend on whole arrays."""
    raise ValueError(
        f"`cls` must be an optimizer whose entries or rows do not depend on each other, got {name}; "
        "use it on every rank, with the gradient that `reduce_gradient` returns."
    )


def refuse_nonfinite(t, ranks):
    """Raise for gradients with NaN or infinity, of these ranks; of none if their sum is what is not finite."""
    gradients.refuse_nonfinite(t, where=f" on rank {ranks[0]}" if len(ranks) else " in the sum over ranks")


def dense_gradient(name, grad, param):
    """Return the gradient of a parameter as an array; sparse ones are not for optimizers of arrays."""
    if hasattr(grad, "tocoo") or (hasattr(grad, "indices") and hasattr(grad, "rows")):
        raise TypeError(f"{name} must be dense, got {type(grad).__name__}; use a `ShardedTable` for sparse gradients.")
    array = gradient_array(name, grad, param)
    if array.dtype != param.dtype or array.shape != param.shape or not array.flags.aligned:
        refuse_gradient(name, array, param)
    return array


def table_size(n_rows, width):
    """Return the numbers of rows and columns of a table."""
    n_rows, width = integer("n_rows", n_rows, 1), integer("width", width, 1)
    if n_rows * width >= 2**63:
        raise ValueError(f"`n_rows` times `width` must be below 2**63, got {n_rows:,} times {width:,}.")
    return n_rows, width


def refuse_folder(folder, rank):
    """Raise for a folder in which the file of a rank is missing."""
    raise FileNotFoundError(
        errno.ENOENT, f"`path` must be the same folder for all ranks, got one without the file of rank {rank}", folder
    )


def refuse_copy():
    """Raise for the copy of an optimizer that writes to arrays of the caller's."""
    raise TypeError(
        "a ShardedOptimizer cannot be copied or pickled, as it updates arrays of the caller's; what it has can be "
        "saved, and loaded by one over other arrays."
    )


def table_dtype(dtype):
    """Return the dtype of a table by its name."""
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = None
    if name not in DTYPES:
        raise TypeError(f"`dtype` must be float32 or float64, got {shown(dtype)}.")
    return name


def first_rows(init):
    """Return how the rows of a table begin: a number, or a function of their numbers."""
    return init if callable(init) else real("init", init, "(-inf, inf)")


def made_rows(values, shape, dtype):
    """Return what a function made of numbers of rows, as rows of a table."""
    array = np.asarray(values)
    if array.shape != shape or array.dtype.kind not in "fiub":
        raise ValueError(f"`init` must return numbers of shape {shape} for {shape[0]} rows, got {shown(values)}.")
    return array.astype(dtype, copy=False)


def table_rows(rows, n_rows):
    """Return numbers of rows of a table as a contiguous int64 array."""
    array = np.asarray(rows)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(f"`rows` must be a one-dimensional array of integers, got {shown(rows)}.")
    if array.size and (array.min() < 0 or array.max() >= n_rows):
        wrong = array[(array < 0) | (array >= n_rows)][0]
        raise IndexError(f"`rows` must be in [0, {n_rows}), got {wrong}.")
    return np.ascontiguousarray(array, np.int64)


def table_gradients(grads, n, width, dtype):
    """Return the gradients of n rows of a table as a contiguous array."""
    if not isinstance(grads, np.ndarray) or is_masked(grads):
        raise TypeError(f"`grads` must be a NumPy array, got {type(grads).__name__}.")
    if grads.shape != (n, width):
        raise ValueError(f"`grads` must have one row of {width} for each of {n} rows, got shape {grads.shape}.")
    if grads.dtype != dtype:
        raise TypeError(f"`grads` must be {dtype} like the table, got {grads.dtype}; pass grads.astype(np.{dtype}).")
    return np.ascontiguousarray(grads)


# --- folders of checkpoints ------------------------------------------------------------------------------


def folder(path):
    """Return the path of a folder, which exists or can be made."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"`path` must be a path of a folder, got {type(path).__name__}.")
    path = os.fspath(path)
    if os.path.exists(path) and not os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, "`path` must be a folder, got a file", path)
    return path


def manifest(given, optimizer, shapes):
    """Check that the manifest of a folder is that of such an optimizer, whose parts have all entries, each once."""
    if given["optimizer"] != optimizer:
        raise ValueError(f"it is of {shown(given['optimizer'])}, got {optimizer}.")
    if given["shapes"] != shapes:
        raise ValueError(f"its arrays have the shapes {shown(given['shapes'])}, got {shown(shapes)}.")
    parts = zip(*given["starts"], strict=True), zip(*given["sizes"], strict=True)
    for shape, starts, sizes in zip(shapes, *parts, strict=True):
        end = 0
        for start, size in sorted(zip(starts, sizes, strict=True)):
            if size and start != end:
                raise ValueError(f"its parts must follow each other, got {start} after {end}.")
            end += size
        if end != math.prod(shape):
            raise ValueError(f"its parts must have {math.prod(shape)} entries together, got {end}.")


def part(given, starts, sizes):
    """Check that a file has the part of the arrays that the manifest says."""
    found = given["starts"], [math.prod(each.shape) for each in given["params"]]
    if found != (starts, sizes):
        raise ValueError("its parts must be those that the manifest names, got others.")
