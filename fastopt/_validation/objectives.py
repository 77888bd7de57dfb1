"""Checks of what an objective is given, and their messages; fastopt/_validation/__init__.py says in which style."""

import operator

import numpy as np

from .._memory import base_view
from .._types import DTYPES, INDEX_DTYPES
from . import conversions
from .conversions import is_masked, remedy
from .parameters import is_native
from .scalars import real
from .text import shown


def samples(X):
    """Return X as a dense array or a CSR matrix, of no subclass and with a layout that C can read."""
    if hasattr(X, "tocsr"):
        return _sparse_samples(X)
    if not isinstance(X, np.ndarray) or is_masked(X):
        advice = conversions.as_array("X", X, "float64")
        if advice is not None:
            advice = advice.replace("np.asarray", "np.ascontiguousarray")
        raise TypeError(
            f"`X` must be a NumPy array or a scipy.sparse CSR matrix, got {type(X).__name__}{remedy('pass', advice)}."
        )
    X = X if type(X) is np.ndarray else base_view(X)
    dense_layout(X)
    return X


def dense_layout(X):
    """Check dtype and layout of dense samples, not their contents."""
    _two_dimensions(X)
    _dtype(X)
    if X.size and ((X.strides[1] != X.itemsize and X.shape[1] > 1) or X.strides[0] % X.itemsize):
        raise ValueError(
            f"`X` must have contiguous rows (C order), got strides {X.strides}; pass np.ascontiguousarray(X)."
        )
    if not X.flags.aligned:
        raise ValueError("`X` must be aligned, got an array that is not; pass X.copy().")


def _two_dimensions(X):
    if X.ndim != 2:
        advice = {1: "; pass X.reshape(1, -1) for one sample, X.reshape(-1, 1) for one feature"}.get(X.ndim, "")
        raise ValueError(f"`X` must have two dimensions, samples and features, got shape {X.shape}{advice}.")
    if X.shape[1] == 0:
        raise ValueError(f"`X` must hold at least one feature, got shape {X.shape}.")


def _dtype(X):
    if not is_native(X.dtype, DTYPES):
        sparse = hasattr(X, "tocsr")
        if X.dtype.kind == "c":
            advice = "scipy.sparse.hstack([X.real, X.imag]).tocsr()" if sparse else "np.hstack([X.real, X.imag])"
        elif sparse:
            advice = "X.astype(np.float64)" if X.dtype.kind in "biuf" else None
        else:
            advice = "np.ascontiguousarray(X, np.float64)" if conversions.holds_real_numbers(X) else None
        raise TypeError(f"`X` must be float32 or float64, got {X.dtype}{remedy('pass', advice)}.")


def _sparse_samples(X):
    if X.format != "csr":
        raise TypeError(f"`X` must be a NumPy array or in CSR format, got {X.format}; pass X.tocsr().")
    X = plain_csr("X", X)
    csr_layout(X)
    return X


def plain_csr(name, X):
    """A CSR matrix of no subclass, with plain contiguous arrays and one dtype of indices; itself if it is like that."""
    from scipy.sparse import csr_array, csr_matrix

    arrays = [_plain(f"{name}.{each}", getattr(X, each)) for each in ("data", "indices", "indptr")]
    _index_dtypes(name, *arrays[1:])
    if arrays[1].dtype != arrays[2].dtype:
        arrays[1:] = _with_one_index_dtype(*arrays[1:])
    if type(X) in (csr_array, csr_matrix) and all(map(operator.is_, arrays, (X.data, X.indices, X.indptr))):
        return X
    kind = csr_matrix if isinstance(X, csr_matrix) else csr_array
    return csr_of(kind, *arrays, tuple([operator.index(n) for n in X.shape]))


def _plain(name, array):
    if not isinstance(array, np.ndarray):
        raise TypeError(f"`{name}` must be a NumPy array, got {type(array).__name__}; set {name} = np.asarray({name}).")
    if not array.flags.c_contiguous or not array.flags.aligned:
        return np.array(array)
    return array if type(array) is np.ndarray else base_view(array)


def csr_of(kind, data, indices, indptr, shape):
    """A CSR matrix of arrays, which are neither converted nor looked at."""
    X = kind(shape, dtype=data.dtype)
    X.data, X.indices, X.indptr = data, indices, indptr
    return X


def csr_layout(X):
    """Check dtypes and row pointers of CSR samples, not their columns and values."""
    _two_dimensions(X)
    _dtype(X)
    _index_dtypes("X", X.indices, X.indptr)
    if X.indices.dtype != X.indptr.dtype:
        raise TypeError(f"`X` must have indices of one dtype, got {X.indices.dtype} and {X.indptr.dtype}.")
    row_pointers("X", X)


def _index_dtypes(name, indices, indptr):
    for part, array in (("indices", indices), ("indptr", indptr)):
        if not is_native(array.dtype, INDEX_DTYPES):
            where = f"{name}.{part}"
            raise TypeError(
                f"`{name}`.{part} must be int32 or int64, got {array.dtype}; set {where} = {where}.astype(np.int64)."
            )


def refuse_replaced(name):
    """Raise for a CSR matrix that has been given other arrays since an objective was made of it."""
    raise ValueError(
        f"`{name}` must stay the array that it was when the objective was made, got another one; make a new objective."
    )


def _with_one_index_dtype(indices, indptr):
    """The same, with row pointers of the dtype of the indices; with longer indices where these are too short."""
    wanted = indices.dtype if indptr.max(initial=0) <= np.iinfo(indices.dtype).max else np.dtype(np.int64)
    return indices.astype(wanted, copy=False), indptr.astype(wanted, copy=False)


def column_range(X, faults):
    """Refuse columns outside of X."""
    if "out of range" in faults:
        columns = X.indices[: int(X.indptr[-1])]
        raise ValueError(f"`X` must have column indices in [0, {X.shape[1]}), got {columns.min()} to {columns.max()}.")


def finite_samples(faults):
    """Refuse samples with entries that are not finite."""
    _finite("X", "not finite" not in faults)


def row_pointers(name, X):
    """Check the row pointers, which SciPy does not when a matrix is made from its three arrays."""
    starts = X.indptr
    n_entries = int(starts.flat[-1]) if starts.size else 0
    one_dimensional = starts.ndim == X.indices.ndim == X.data.ndim == 1
    if (
        not one_dimensional
        or len(starts) != X.shape[0] + 1
        or starts[0] != 0
        or n_entries > min(len(X.indices), len(X.data))
    ):
        raise ValueError(f"`{name}` must be a valid CSR matrix; its row pointers do not fit its shape and its entries.")
    if np.any(starts[1:] < starts[:-1]):
        raise ValueError(f"`{name}` must be a valid CSR matrix; its row pointers descend.")


def _finite(name, is_finite):
    if not is_finite:
        raise ValueError(
            f"`{name}` must be finite, got NaN or infinity; leave such samples out, or replace the entries."
        )


def vector(name, values, n):
    """Return a float64 array of length n, with an entry for each sample; a column is taken, too."""
    array = _numbers(name, values)
    if array.shape == (n, 1):
        array = np.asarray(array).reshape(n)
    if array.shape != (n,):
        raise ValueError(f"`{name}` must have shape ({n},), one entry for each sample, got {array.shape}.")
    return _in_float64(name, array)


def labels(y, n, takes_targets):
    """Return labels as a float64 array: of length n, or of shape (n, k) for k targets, where the loss takes these."""
    array = _numbers("y", y)
    if not takes_targets or array.shape == (n, 1):
        return vector("y", y, n)
    if array.shape != (n,) and (array.ndim != 2 or len(array) != n or array.shape[1] == 0):
        shapes = f"({n},), one entry for each sample, or ({n}, k) for k targets"
        raise ValueError(f"`y` must have shape {shapes}, got {array.shape}.")
    return _in_float64("y", array)


def linear(values, n_rows, n_outputs):
    """Return the linear part as a float64 vector of the length of the parameters."""
    array = _numbers("linear", values)
    n = n_rows * n_outputs
    if array.shape != (n,) and (n_outputs == 1 or array.shape != (n_rows, n_outputs)):
        raise ValueError(f"`linear` must have shape ({n},), like the parameters, got {array.shape}.")
    return _in_float64("linear", np.asarray(array).reshape(n))


def _numbers(name, values):
    """Return an array of real numbers, of any shape."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError):
        advice = remedy("pass", conversions.as_array(name, values, "float64"))
        raise TypeError(f"`{name}` must be an array of real numbers, got {type(values).__name__}{advice}.") from None
    if array.dtype.kind not in "biuf" or is_masked(values):
        plain = array.ndim and array.dtype != object and not is_masked(values)
        got = f"dtype {array.dtype}" if plain else type(values).__name__
        if name == "y" and conversions.has_masked_entries(values):
            mask = "np.ma.getmaskarray(y)" + (".any(axis=1)" if array.ndim == 2 else "")
            advice = f"; leave such samples out: keep = ~{mask}; X, y = X[keep], y[keep].data"
        else:
            advice = remedy("pass", _numbers_for(name, values, array))
        raise TypeError(f"`{name}` must be an array of real numbers, got {got}{advice}.")
    return array


def _in_float64(name, array):
    """Return a copy in float64 and C order, if all entries are finite."""
    array = np.array(array, np.float64, order="C")
    _finite(name, np.isfinite(array).all())
    return array


def _numbers_for(name, values, array):
    """An expression for labels or weights as numbers, or None where there is no good one."""
    if hasattr(values, "tocsr"):
        return f"{name}.toarray()"
    if conversions.holds_numbers_in_words(array):
        return f"{name}.astype(float)" if hasattr(values, "astype") else f"np.asarray({name}, float)"
    in_words = array.dtype.kind == "U" or (array.size > 0 and all(isinstance(each, str) for each in array.flat))
    if in_words and name == "y":
        return "np.unique(y, return_inverse=True)[1] for classes"
    return conversions.as_array(name, values, "float64")


def in_dtype(name, array, dtype):
    """Return a float64 array in the dtype of the samples, inside whose range it must be."""
    largest = np.abs(array).max(initial=0.0)
    if largest > np.finfo(dtype).max:
        raise ValueError(f"`{name}` must be in the range of {dtype}, the dtype of `X`, got {largest}.")
    return array.astype(dtype)


def some_samples(n):
    """Refuse a mean over no samples."""
    if n == 0:
        raise ValueError("`X` must hold at least one sample, but for ranks with `comm`, got none.")


def own_layout(array, size, dtype):
    """Check an array of ours that C is given: the private methods of an objective may be called with any."""
    if array.dtype != dtype or array.size != size or not (array.flags.c_contiguous and array.flags.aligned):
        raise ValueError(
            f"an array of {size} {dtype} side by side is needed, got {array.dtype} of shape {array.shape}."
        )


def frozen_layout(what, array, size, dtype, is_frozen):
    """Check labels, weights or a linear part that C is given."""
    own_layout(array, size, dtype)
    if not is_frozen:
        raise ValueError(f"{what} must be frozen, got an array that can be written to.")


def index_layout(index, n):
    """Check sample numbers that C is given."""
    own_layout(index, index.size, np.dtype(np.int64))
    if index.size == 0 or index.min() < 0 or index.max() >= n:
        raise IndexError(f"sample numbers must be in [0, {n}), got others.")


def class_range(labels, n_outputs):
    """Check that labels are classes where the loss follows them."""
    if not (labels.min(initial=0) >= 0 and labels.max(initial=0) < n_outputs):
        raise ValueError(
            f"`y` must hold class numbers below {n_outputs}, got {labels.min(initial=0)} to {labels.max(initial=0)}."
        )


def weights(values, n, scale):
    """Return sample weights, the same as `weight_scale` wants them, and what they were divided by."""
    if scale is not None and not (isinstance(scale, str) and scale == "mean"):
        raise ValueError(f'`weight_scale` must be "mean" or None, got {shown(scale)}.')
    if values is None:
        ones = np.ones(n)
        return ones, ones, 1.0
    array = vector("sample_weight", values, n)
    if n and scale is not None and not array.any():
        raise ValueError("`sample_weight` must be positive for at least one sample, got 0.0 for all.")
    if (array < 0).any():
        raise ValueError(f"`sample_weight` must be at least 0, got {array.min()}; leave such samples out.")
    if scale is None or n == 0:
        return array, array, 1.0
    largest = array.max()
    relative = array / largest  # so that their sum cannot overflow
    mean = relative.mean()
    return array, relative / mean, float(largest * mean)


def strength(name, value):
    return real(name, value, "[0, inf)")


def parameters(x, objective):
    """Return the parameters in the objective's dtype, contiguous."""
    array = _array("x", x)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"`x` must be an array of real numbers, got {array.dtype}.")
    if array.shape != (objective.n_parameters,) and not objective._is_matrix(array.shape):
        raise ValueError(f"`x` must have shape ({objective.n_parameters},), {describe(objective)}, got {array.shape}.")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, objective.dtype).reshape(objective.n_parameters)


def _array(name, value, kind="numbers"):
    try:
        return np.asarray(value)
    except ValueError:
        raise ValueError(f"`{name}` must be an array of {kind}, got a sequence of unequal lengths.") from None


def describe(objective):
    """Describe in words what the length of the parameters consists of."""
    rows = f"{objective.n_features} features" + (" and an intercept" if objective.fit_intercept else "")
    outputs = "targets" if objective._takes_targets else "classes"
    return rows if objective.n_outputs == 1 else f"({rows}) x {objective.n_outputs} {outputs}"


def result_dtype(x):
    """The dtype of a gradient at x: that of x if it is one of DTYPES, else float64."""
    dtype = np.asarray(x).dtype
    return dtype if dtype.name in DTYPES else np.dtype(np.float64)


def sample_index(idx, n):
    """Return sample numbers as a contiguous int64 array."""
    array = _array("idx", idx, "integers")
    if array.size == 0:
        raise ValueError("`idx` must hold at least one sample, got none.")
    if array.ndim != 1 or array.dtype.kind not in "iu":
        advice = f"np.arange({n})[idx]" if isinstance(idx, slice) else conversions.as_indices("idx", idx)
        advice = remedy("pass", advice if array.ndim == 1 or isinstance(idx, slice) else None)
        raise TypeError(
            f"`idx` must be a one-dimensional array of integers, got {array.dtype}, shape {array.shape}{advice}."
        )
    if array.min() < 0 or array.max() >= n:
        raise IndexError(f"`idx` must be in [0, {n}), got {array.min()} to {array.max()}.")
    return np.array(array, np.int64)  # a copy, which nobody else can change


def other_samples(X, objective):
    """Refuse samples with another number of features."""
    if getattr(X, "ndim", 0) != 2 or X.shape[1] != objective.n_features:
        raise ValueError(f"`X` must have shape (n, {objective.n_features}), got {getattr(X, 'shape', None)}.")
    return X
