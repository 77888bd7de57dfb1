"""Checks of the samples that `minimize` is given, and of the size of its batches."""

import contextlib
from collections.abc import Mapping

import numpy as np

from .._memory import frozen
from . import conversions, objectives
from .scalars import count
from .text import shown


def sample_arrays(data, name="data", least=1):
    """Return `data` as a tuple of objects that an index array selects samples from, and their number."""
    if isinstance(data, Mapping):
        raise TypeError(
            f"`{name}` must be an array or a tuple of them, got {type(data).__name__}; pass tuple({name}.values())."
        )
    data = data if isinstance(data, (tuple, list)) else (data,)
    if not data:
        raise ValueError(f"`{name}` must hold at least one array, got an empty tuple.")
    arrays, n = arrays_of_one_length(name, data)
    return arrays, _at_least_one(name, n) if least else n


def arrays_of_one_length(name, data):
    """Return what a tuple holds as objects that an index array selects samples from, and their number."""
    arrays = tuple(_sample_array(f"{name}[{k}]", each) for k, each in enumerate(data))
    lengths = [array.shape[0] for array in arrays]
    if len(set(lengths)) > 1:
        raise ValueError(f"`{name}` must hold arrays of equal length, got lengths {shown(lengths)}.")
    return arrays, lengths[0]


def _sample_array(name, array):
    array = plain_array(name, array)
    if hasattr(array, "tocsr"):
        return _csr(name, array if array.format == "csr" else array.tocsr())
    if not hasattr(array, "shape") or not hasattr(array, "__getitem__"):
        array = _of_sequence(name, array)
    if len(array.shape) == 0:
        raise ValueError(f"`{name}` must have samples along its first axis, got {shown(array)}.")
    return array


def plain_array(name, array):
    """Return a pandas object, a tensor or a list as a NumPy array, and others as they are."""
    if hasattr(array, "iloc"):
        return array.to_numpy()  # its index plays no part
    if isinstance(array, list):
        return _of_sequence(name, array)
    return _shared(name, array) if hasattr(array, "__dlpack__") and not isinstance(array, np.ndarray) else array


def _of_sequence(name, sequence):
    """Return what NumPy makes of a sequence as an array; of arrays of several shapes it makes none."""
    try:
        return np.asarray(sequence)
    except ValueError:
        whole = name.partition("[")[0]
        raise ValueError(
            f"`{whole}` must hold arrays, got a {type(sequence).__name__} with parts of several shapes for {name}; "
            f"pass tuple(map(np.concatenate, zip(*{whole}))) for batches."
        ) from None


def _shared(name, tensor):
    """Return the array of another library as NumPy's, which shares its memory where both libraries can."""
    for convert in (np.from_dlpack, np.asarray):
        with contextlib.suppress(Exception):  # each library has its own for what NumPy has not
            return convert(tensor)
    advice = conversions.remedy("pass", conversions.as_array(name, tensor, "float32"))
    raise TypeError(f"`{name}` must be an array that NumPy can read, got {type(tensor).__name__}{advice}.")


def _csr(name, matrix):
    """A CSR matrix of no subclass whose batches can be taken; one of a single dimension is left to SciPy."""
    if len(matrix.shape) != 2:
        return matrix
    matrix = objectives.plain_csr(name, matrix)
    objectives.row_pointers(name, matrix)
    return matrix


def permutation(order, n):
    """Return an order of n samples as an int64 array that nobody can change; a Generator may be of any class."""
    array = np.asarray(order)
    fits = array.shape == (n,) and array.dtype.kind in "iu"
    array = frozen(array.astype(np.int64, copy=False)) if fits else array
    if not fits or array.min() < 0 or array.max() >= n:  # of the copy, which nobody changes any more
        raise ValueError(f"`rng` must give permutations of {n} samples, got {shown(order)}; pass a seed.")
    return array


def refuse_rows(order, n):
    """Raise for samples that are not there: the order of an epoch was changed while the objective had a part of it."""
    raise IndexError(f"`index` must be in [0, {n}), got {order.min()} to {order.max()}.")


def refuse_columns(columns, n):
    """Raise for columns outside of a CSR matrix, which were written over since it was checked."""
    raise ValueError(
        f"`data` must have column indices in [0, {n}), got {columns.min()} to {columns.max()}; "
        "leave its arrays alone during the run, or pass data.copy()."
    )


def n_samples(value, least=1):
    n = count("n_samples", value, 0)
    return _at_least_one("n_samples", n) if least else n


def _at_least_one(name, n):
    if n == 0:
        raise ValueError(f"`{name}` must hold at least one sample, got none.")
    return n


def batch_size(value, n):
    """Return the number of samples in a batch; by default 200, or all if there are fewer."""
    if n is None:
        if value is not None:
            raise ValueError(f"`batch_size` needs `data` or `n_samples`, got {shown(value)} without either.")
        return None
    return min(200, n) if value is None else count("batch_size", value, 1, n)


def one_source(data, n):
    """Refuse two descriptions of the samples."""
    if data is not None and n is not None:
        raise ValueError("`n_samples` must be None when `data` is given, which tells the number; pass one of them.")
