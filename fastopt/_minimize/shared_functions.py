"""Functions of the user over the samples of all ranks: each rank evaluates its shares of a batch, and all are summed.

Values and dense gradients are summed in the order of parts, and sparse gradients joined in it.
"""

import numpy as np

from .._sparse.gradients import RowSparse, is_sparse
from .._validation import gradients, sparse_gradients
from .._validation import minimize as validation
from . import precision

#: What gradients of an array may be: bits, which say together what those of all parts are.
DENSE, ROWS, ENTRIES = 1, 2, 4


class SharedFunction:
    """Base: calls the user's function for each share of a batch, and adds up what it gives on all ranks.

    Parameters
    ----------
    fun : callable
        Of a vector, the leading arguments for samples, and extra arguments.
    params : Parameters
    ranks : SharedRun
    """

    def __init__(self, fun, params, ranks):
        self.fun, self.params, self.ranks = fun, params, ranks
        self.as_gradient = params.converter(True)

    def totals(self, x, shares, args):
        """The weighted sums of values, and of gradients, over all shares of all ranks."""
        parts, own = shares.parts, shares.parts.own
        said = np.zeros((len(own), 2 + len(self.params.own)), np.complex128 if x.dtype.kind == "c" else np.float64)
        said[:, 1] = len(precision.DTYPES) - 1  # of no values: the coarsest dtype holds them
        found = [[] for _ in self.params.own]
        for part, weight, arguments in shares:
            row = said[part - own.start]
            value, found_here = self.evaluate(x, arguments, args)
            row[0] += weight * value
            row[1] = min(row[1].real, _coarsest(value))
            for k, each in enumerate(found_here):
                if each is not None:
                    each, kind = _weighted(each, weight, self.params.own[k])
                    row[2 + k] = int(row[2 + k].real) | kind
                    found[k].append((part - own.start, each))
        self.ranks.agree(interruptible=True)
        said = parts.gathered(said)
        self.ranks.gradients = [_values(each) for of_array in found for _, each in of_array]
        kinds = np.bitwise_or.reduce(said[:, 2:].real.astype(np.int64), axis=0)
        sums = [self.sum_of(parts, *each) for each in zip(found, kinds, self.params.own, strict=True)]
        return self.value_of(parts, said), self.params.together(sums)

    def value_of(self, parts, said):
        """The sum of values; as exact as they are, which says how exactly the user's function computes."""
        total = said[0, 0]
        for value in said[1:, 0]:
            total = total + value
        if not np.isfinite(total):
            self.ranks.blame(parts.rank_of(int(np.flatnonzero(~np.isfinite(said[:, 0]))[0])))
        if said.dtype.kind == "c":
            return complex(total)
        with np.errstate(over="ignore"):
            return float(np.dtype(precision.DTYPES[int(said[:, 1].min())]).type(total))

    def sum_of(self, parts, found, kind, own):
        """The sum of the gradients of one array, given which parts of this rank have what."""
        if kind == 0:
            return None
        if kind == ROWS:
            width = own.shape[1:]
            indices = parts.joined(_concatenated([each.indices for _, each in found], np.int64))
            rows = parts.joined(_concatenated([each.rows.ravel() for _, each in found], own.dtype))
            return RowSparse(indices, rows.reshape(len(indices), *width))
        if kind == ENTRIES:
            return self.joined_entries(parts, [each for _, each in found], own)
        sums = np.zeros((len(parts.own), own.size), own.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            for k, each in found:
                sums[k] += (_dense(each, own) if kind != DENSE else each).reshape(-1)
        return parts.sum(sums).reshape(own.shape)

    @staticmethod
    def joined_entries(parts, found, own):
        """Sparse arrays, one after the other: the entries at one place are added in their order by the step."""
        from scipy.sparse import coo_array

        shape = (1, own.size) if own.ndim == 1 else own.shape
        axes = [
            parts.joined(_concatenated([_coords(each)[axis] for each in found], np.int64)) for axis in range(len(shape))
        ]
        return coo_array((parts.joined(_concatenated([each.data for each in found], own.dtype)), tuple(axes)), shape)


class SharedValue(SharedFunction):
    """Of a function that gives a value."""

    def evaluate(self, x, arguments, args):
        value = self.fun(x, *arguments, *args)
        return (value if x.dtype.kind == "c" else validation.scalar(value)), ()

    def __call__(self, x, shares, *args):
        return self.totals(x, shares, args)[0]


class SharedPair(SharedFunction):
    """Of a function that gives value and gradient."""

    def evaluate(self, x, arguments, args):
        value, gradient = validation.pair(self.fun(x, *arguments, *args))
        return validation.scalar(value), self.params.each_of(self.as_gradient(gradient, self.params.own[0]))

    def __call__(self, x, shares, *args):
        return self.totals(x, shares, args)


class SharedGradient(SharedFunction):
    """Of a function that gives a gradient."""

    def evaluate(self, x, arguments, args):
        gradient = self.fun(x, *arguments, *args)
        return 0.0, self.params.each_of(self.as_gradient(gradient, self.params.own[0]))

    def __call__(self, x, shares, *args):
        return self.totals(x, shares, args)[1]


def _coarsest(value):
    """The place in precision.DTYPES of the coarsest one that holds a value."""
    if isinstance(value, complex) or not np.isfinite(value):
        return len(precision.DTYPES) - 1
    return max(k for k, dtype in enumerate(precision.DTYPES) if precision.fit(value, dtype))


def _weighted(gradient, weight, own):
    """A gradient of the array `own` times a weight, and what it is; its layout is checked."""
    with np.errstate(over="ignore", invalid="ignore"):
        if type(gradient) is RowSparse:
            sparse_gradients.row_sparse("`grad`", gradient, own)
            return RowSparse(gradient.indices, gradient.rows * weight), ROWS
        if is_sparse(gradient):
            gradient = gradient.tocoo()
            sparse_gradients.scipy_gradient("`grad`", gradient, own)
            return gradient * weight, ENTRIES
        gradient = gradients.gradient_array("`grad`", gradient, own)
        if gradient.shape != own.shape or gradient.dtype != own.dtype:
            gradients.refuse_gradient("`grad`", gradient, own)
        return np.multiply(gradient, weight), DENSE


def _values(gradient):
    """The numbers of a gradient of any kind."""
    return gradient if isinstance(gradient, np.ndarray) else getattr(gradient, "rows", getattr(gradient, "data", None))


def _coords(sparse):
    """The coordinates of a sparse array's entries; a vector is one row."""
    if len(sparse.shape) == 1:
        return np.zeros(len(sparse.data), np.int64), sparse.coords[0]
    return (sparse.row, sparse.col) if sparse.shape[1] != 1 or sparse.shape[0] == 1 else (sparse.col, sparse.row)


def _dense(gradient, own):
    """A gradient of any kind as an array."""
    if isinstance(gradient, np.ndarray):
        return gradient
    total = np.zeros(own.shape, own.dtype)
    if type(gradient) is RowSparse:
        np.add.at(total, gradient.indices, gradient.rows)
    else:
        np.add.at(total.reshape(-1, total.shape[-1]), _coords(gradient), gradient.data)
    return total


def _concatenated(arrays, dtype):
    """Arrays of this rank one after the other, in a dtype; there may be none."""
    return np.concatenate([np.asarray(each, dtype).reshape(-1) for each in arrays] or [np.empty(0, dtype)])
