"""Checks of sparse gradients: `RowSparse` and those of SciPy."""

import numpy as np

from .._types import DTYPES, INDEX_DTYPES
from . import conversions
from .conversions import remedy
from .parameters import is_native, label
from .text import shown


def row_indices(indices):
    """Return the indices of a RowSparse as a one-dimensional int32 or int64 array."""
    _refuse_masked("indices", indices, "int64")
    array = np.asarray(indices)
    if array.size == 0 and array.dtype == np.float64:
        array = array.astype(np.int64)  # what NumPy makes of an empty list
    _index_array("`indices`", "", array)
    return array


def rows_of_arrays(rows, params, keys):
    """Return the indices of rows for each parameter, in arrays that nobody else has, or None where there are none."""
    if keys is None:
        return [_rows_of("`rows`", rows, params[0])]
    names = keys if isinstance(keys, tuple) else tuple(range(keys))
    if not isinstance(rows, dict):
        raise TypeError(
            f"`rows` must be a dict of indices by the keys of the parameters, such as {shown(names[0])}, "
            f"got {type(rows).__name__}."
        )
    unknown = [key for key in rows if key not in names]
    if unknown:
        raise ValueError(f"`rows` must have keys among {shown(list(names))}, got {shown(unknown[0])}.")
    return [
        _rows_of(label("rows", names, k), rows[name], param) if name in rows else None
        for k, (name, param) in enumerate(zip(names, params, strict=True))
    ]


def _rows_of(name, rows, param):
    if param.ndim == 0:
        raise ValueError(f"{name} must be left out for a parameter without dimensions, got {shown(rows)}.")
    _refuse_masked(name.strip("`"), rows, "int64")
    index = np.asarray(rows)
    if index.size == 0 and index.dtype == np.float64:
        index = index.astype(np.int64)  # what NumPy makes of an empty list
    index = np.array(index)
    _index_array(name, "", index.reshape(-1))
    outside = (index < 0) | (index >= len(param))
    if outside.any():
        refuse_index(name, index.reshape(-1), int(outside.argmax()), len(param))
    return index


def row_values(rows, indices):
    """Return the rows of a RowSparse as an array with one row per index."""
    _refuse_masked("rows", rows, "float64")
    array = np.asarray(rows)
    if not is_native(array.dtype, DTYPES):
        advice = remedy("pass", conversions.as_array("rows", rows, "float64"))
        raise TypeError(f"`rows` must be float32 or float64, got {array.dtype}{advice}.")
    if array.ndim == 0 or len(array) != len(indices):
        raise ValueError(f"`rows` must have one row for each of the {len(indices)} indices, got shape {array.shape}.")
    return array


def _refuse_masked(name, values, dtype):
    """What is behind a mask must not be taken for a value."""
    if conversions.is_masked(values):
        advice = remedy("pass", conversions.as_array(name, values, dtype))
        raise TypeError(f"`{name}` must be an array without a mask, got {type(values).__name__}{advice}.")


def refuse_part(name, attribute, value):
    """Raise for a part of a sparse gradient that is no array with an axis: its attributes may be set to anything."""
    if isinstance(value, np.ndarray):
        raise ValueError(f"{name}{attribute} must have at least one dimension, got none.")
    advice = remedy("set", _set_attribute(name, attribute, value))
    raise TypeError(f"{name}{attribute} must be a NumPy array, got {type(value).__name__}{advice}.")


def _set_attribute(name, attribute, value):
    """A statement that gives an attribute of a gradient numbers that are accepted, or None where there is none."""
    own = name.strip("`") + attribute
    if attribute == ".coords":
        return f"{own} = tuple(np.asarray(each, np.int64) for each in {own})"
    numbers = attribute in (".rows", ".data")
    advice = conversions.as_array(own, value, "float64") if numbers else conversions.as_indices(own, value)
    return None if advice is None else f"{own} = {advice}"


def row_sparse(name, grad, param):
    """Check that a RowSparse fits its parameter; its arrays may have been changed since it was made."""
    if param.ndim == 0:
        raise ValueError(f"{name} must be a number for a parameter without dimensions, got {shown(grad)}.")
    _index_array(name, ".indices", grad.indices)
    if len(grad.rows) != len(grad.indices) or grad.rows.shape[1:] != param.shape[1:]:
        raise ValueError(
            f"{name} must have rows of the shape {param.shape[1:]} of those of its parameter, one for each of "
            f"{len(grad.indices)} indices, got {grad.rows.shape}."
        )
    if grad.rows.dtype != param.dtype:
        _refuse_dtype(name, grad.rows.dtype, param.dtype, f"{name.strip('`')}.astype(np.{param.dtype})")


def scipy_gradient(name, grad, param):
    """Check shape and dtype of a scipy.sparse gradient."""
    vector = param.ndim == 1 and grad.shape in ((1, param.size), (param.size, 1))
    if grad.shape != param.shape and not vector:
        or_vector = f", or ({param.size}, 1) or (1, {param.size})," if param.ndim == 1 else ""
        raise ValueError(f"{name} must have the shape {param.shape}{or_vector} of its parameter, got {grad.shape}.")
    if grad.data.dtype != param.dtype:
        _refuse_dtype(name, grad.data.dtype, param.dtype, conversions.of_dtype(name.strip("`"), grad, param))


def compressed(name, grad):
    """Check the index arrays of a CSR or CSC gradient, except the bounds of its indices.

    Returns the number of rows of CSR, of columns of CSC.
    """
    indptr, n_major = grad.indptr, grad.shape[0] if grad.format == "csr" else grad.shape[1]
    if len(grad.shape) == 1:
        n_major = 1
    if indptr.shape != (n_major + 1,) or indptr[0] != 0 or (n_major > 1 and (indptr[1:] < indptr[:-1]).any()):
        refuse_malformed(name, n_major)
    _index_array(name, ".indptr", indptr)
    if not 0 <= indptr[-1] <= min(len(grad.indices), len(grad.data)):
        raise ValueError(
            f"{name}.indptr must end at the number of entries, at most {min(len(grad.indices), len(grad.data))}, "
            f"got {indptr[-1]}."
        )
    _index_array(name, ".indices", grad.indices)
    _one_value_each(name, grad.data[: indptr[-1]], grad.indices[: indptr[-1]])
    return n_major


def refuse_malformed(name, n_major):
    """Raise for row pointers of CSR, or column pointers of CSC, that do not ascend."""
    raise ValueError(
        f"{name}.indptr must start at 0 and not descend over {n_major + 1} entries; the matrix is malformed, "
        f"as {name.strip('`')}.check_format() would say."
    )


def coordinates(name, grad):
    """Check the index arrays of a COO gradient, except their bounds."""
    for index in grad.coords:
        _index_array(name, ".coords", index)
        _one_value_each(name, grad.data, index)


def refuse_index(name, index, at, n_positions):
    """Raise for an index that is outside the parameter."""
    raise IndexError(f"{name} must have indices in [0, {n_positions}), got {index[at]} at position {at}.")


def refuse_negative_index(index, at):
    """Raise for an index of a RowSparse that is not of any parameter."""
    raise IndexError(f"`indices` must not be negative, got {index[at]} at position {at}.")


def refuse_sparse_size(n, n_positions):
    """Raise for a gradient whose positions cannot be sorted in 64 bits each."""
    raise ValueError(
        f"`grad` must have fewer entries to be put in order, got {n} of {n_positions} positions; "
        "pass a dense gradient, or RowSparse(..., unique=True)."
    )


def _index_array(name, attribute, indices):
    if not is_native(indices.dtype, INDEX_DTYPES):
        if attribute:
            advice = remedy("set", _set_attribute(name, attribute, indices))
        else:
            advice = remedy("pass", conversions.as_indices(name.strip("`"), indices))
        raise TypeError(f"{name}{attribute} must be int32 or int64, got {indices.dtype}{advice}.")
    if indices.ndim != 1:
        raise ValueError(f"{name}{attribute} must have one dimension, got shape {indices.shape}.")


def _one_value_each(name, values, index):
    if values.shape != index.shape:
        raise ValueError(f"{name} must have one value for each of {len(index)} indices, got shape {values.shape}.")


def _refuse_dtype(name, dtype, wanted, advice):
    """The advice is put together only where it is needed: that takes as long as a small step."""
    raise TypeError(f"{name} must be {wanted} like its parameter, got {dtype}{remedy('pass', advice)}.")


def refuse_batch(n_samples, most_columns):
    """Raise for batches of sparse rows that may have too many columns."""
    raise ValueError(
        f"`batch_size` must be so small that the rows of a batch have fewer than {most_columns} columns, "
        f"got {n_samples}."
    )
