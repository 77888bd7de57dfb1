"""What messages advise for values of other types: expressions that give an array that is accepted.

Each expression is for the caller to write; `tests/core/test_remedies.py` does what they say.
"""

import sys
from collections.abc import Iterator, KeysView, Mapping, ValuesView

import numpy as np

from .._types import DTYPES


def as_array(expression, value, dtype):
    """An expression for an array of a dtype with what `expression` holds, or None where there is no good one.

    Parameters
    ----------
    expression : str
        What the caller calls it: "grad", "params[1]".
    value : object
        What it is.
    dtype : dtype
        float32 or float64.
    """
    if has_masked_entries(value):
        return f"np.asarray({expression}.filled(0.0), np.{dtype})"
    if callable(getattr(value, "numpy", None)):  # a tensor; without a copy where its library can do so
        if not hasattr(value, "detach"):
            return f"{expression}.numpy()"
        expression += ".detach()"
        if getattr(getattr(value, "device", None), "type", "cpu") != "cpu":
            expression += ".cpu()"
        if "bfloat16" in str(getattr(value, "dtype", "")):  # a dtype that NumPy does not have
            expression += ".float()"
        return f"{expression}.numpy()"
    return f"np.asarray({expression}, np.{dtype})" if holds_real_numbers(value) else None


def own_array(expression, value):
    """An expression for an array that can be updated in place, or None where there is no good one."""
    dtype = getattr(value, "dtype", None)
    wanted = dtype.name if isinstance(dtype, np.dtype) and dtype.name in DTYPES else "float64"
    if has_masked_entries(value):
        return f'np.array({expression}.filled(0.0), np.{wanted}, order="C")'
    if isinstance(dtype, np.dtype) and dtype.kind == "c":
        return real_parts(expression, value)
    if callable(getattr(value, "numpy", None)):
        return as_array(expression, value, wanted)
    return f'np.array({expression}, np.{wanted}, order="C")' if holds_real_numbers(value) else None


def real_parts(expression, value):
    """An expression for a complex array as real numbers: without a copy where the array allows it."""
    wanted = {np.dtype(np.complex64): "float32", np.dtype(np.complex128): "float64"}.get(value.dtype)
    flags = value.flags
    if wanted is not None and value.ndim > 0 and flags.c_contiguous and flags.writeable and flags.aligned:
        return f"{expression}.view(np.{wanted})"
    return f'np.array({expression}, np.complex128, order="C", ndmin=1).view(np.float64)'


def of_dtype(expression, value, param):
    """An expression for an array or sparse matrix in the dtype of its parameter, or None where there is no good one."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "c" and value.size * 2 == param.size:
        return f"np.ascontiguousarray({expression}, np.complex128).view(np.float64).astype(np.{param.dtype})"
    if value.dtype.kind == "c":
        return f"{expression}.real.astype(np.{param.dtype})"
    numbers = value.dtype.kind in "biuf" or holds_real_numbers(value)
    return f"{expression}.astype(np.{param.dtype})" if numbers else None


def as_indices(expression, value):
    """An expression for an array of integers that index, or None where there is no good one."""
    try:
        array = _looked_at(value)
    except ValueError:
        return None
    if array is None:
        return None
    if array.dtype == bool:
        return f"np.flatnonzero({expression})"
    whole = array.dtype.kind in "iu" or (array.dtype.kind == "f" and bool((array == np.floor(array)).all()))
    return f"np.asarray({expression}, np.int64)" if whole else None


def as_container(expression, value):
    """An expression for a list or dict with what an iterator or a view has, or None."""
    if isinstance(value, (Iterator, ValuesView, KeysView)):
        return f"list({expression})"
    return f"dict({expression})" if isinstance(value, Mapping) and not isinstance(value, dict) else None


def is_masked(array):
    """Whether it is a masked array, without an import of numpy.ma: before that no masked array exists.

    NumPy imports numpy.ma at the first use of `np.ma`. A child process that another thread forks during that import
    would wait for it for ever.
    """
    return isinstance(array, getattr(sys.modules.get("numpy.ma"), "MaskedArray", ()))


def has_masked_entries(value):
    """Whether it is a masked array with entries that are masked."""
    return is_masked(value) and bool(sys.modules["numpy.ma"].getmaskarray(value).any())


def holds_numbers_in_words(array):
    """Whether an array has strings only, each of which is a number."""
    if array.dtype.kind not in "US" and not all(isinstance(each, str) for each in array.flat):
        return False
    try:
        array.astype(np.float64)
    except ValueError:
        return False
    return array.size > 0


def holds_real_numbers(value):
    """Whether NumPy makes an array of real numbers of it, and each number is one: it makes NaN of None."""
    try:
        array = _looked_at(value)
        if array is None:
            return False
        if array.dtype.kind == "O":
            return array.size > 0 and all(_is_number(each) for each in array.flat)
    except Exception:  # whatever its own conversion says
        return False
    return array.dtype.kind in "biuf"


def _looked_at(value):
    """What NumPy makes of a value; None for a sequence of a class that NumPy would have to count through.

    Such a class may have no end. A message is no place to find out.
    """
    counted = hasattr(type(value), "__len__") and not isinstance(value, (list, tuple, range, Mapping, str, bytes))
    converts = hasattr(type(value), "__array__") or hasattr(type(value), "__array_interface__")
    return None if counted and not converts and not _has_buffer(value) else np.asarray(value)


def _has_buffer(value):
    try:
        return memoryview(value) is not None
    except (TypeError, BufferError):
        return False


def _is_number(value):
    try:
        return not isinstance(value, (str, bytes)) and float(value) is not None
    except (TypeError, ValueError, OverflowError):
        return False


def remedy(verb, expression):
    """The end of a message: "; pass grad.copy()"; empty where there is no expression."""
    return "" if expression is None else f"; {verb} {expression}"
