"""Checks of the samples that `minimize` is given, and of the size of its batches."""

from collections.abc import Iterator, Mapping

import numpy as np

from .scalars import count
from .text import shown


def sample_arrays(data):
    """Return `data` as a tuple of objects that an index array selects samples from, and their number."""
    if isinstance(data, (Mapping, Iterator)):
        advice = "tuple(data.values())" if isinstance(data, Mapping) else "tuple(data)"
        raise TypeError(f"`data` must be an array or a tuple of them, got {type(data).__name__}; pass {advice}.")
    data = data if isinstance(data, (tuple, list)) else (data,)
    if not data:
        raise ValueError("`data` must hold at least one array, got an empty tuple.")
    arrays = tuple(_sample_array(f"data[{k}]", each) for k, each in enumerate(data))
    lengths = [array.shape[0] for array in arrays]
    if len(set(lengths)) > 1:
        raise ValueError(f"`data` must hold arrays of equal length, got lengths {shown(lengths)}.")
    return arrays, _at_least_one("data", lengths[0])


def _sample_array(name, array):
    if hasattr(array, "iloc"):
        array = array.to_numpy()  # a pandas object: its index plays no part
    if hasattr(array, "tocsr"):
        return array if array.format == "csr" else array.tocsr()
    if not hasattr(array, "shape") or not hasattr(array, "__getitem__"):
        array = np.asarray(array)
    if len(array.shape) == 0:
        raise ValueError(f"`{name}` must have samples along its first axis, got {shown(array)}.")
    return array


def n_samples(value):
    return _at_least_one("n_samples", count("n_samples", value, 0))


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
