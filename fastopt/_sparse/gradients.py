"""The formats of sparse gradients, and their conversion to positions and values."""

from __future__ import annotations

import sys

import numpy as np

from .. import _core, _threads, _validation
from .._types import ArrayLike, DTypeLike
from . import coalesce
from .parts import Compressed, Coordinates, Rows, contiguous, described


class RowSparse:
    """A gradient that is zero except for some rows of its parameter.

    Parameters
    ----------
    indices : array_like of int32 or int64, shape (k,)
        Rows that are not zero, in [0, N) for a parameter of shape (N, ...). Need not be sorted; the rows of an
        index that occurs more than once are added, in the order in which they occur.
    rows : array_like, shape (k, ...)
        Their values, with the dtype of the parameter. For a parameter of shape (N,) one number each.
    unique : bool, default=False
        A promise that no index occurs twice, which saves the check. Otherwise the result may be wrong, but no memory
        outside the parameter is touched.

    Notes
    -----
    The arrays are kept, not copied; `step` uses what they contain when it is called.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> table = np.zeros((1000, 3))
    >>> opt = fastopt.SGD(table, learning_rate=1.0)
    >>> opt.step(fastopt.RowSparse([7, 2, 7], np.ones((3, 3))))
    >>> table[[2, 7]]
    array([[-1., -1., -1.],
           [-2., -2., -2.]])
    """

    __slots__ = ("indices", "rows", "unique")

    def __init__(self, indices: ArrayLike, rows: ArrayLike, unique: bool = False) -> None:
        self.indices = _validation.sparse_gradients.row_indices(indices)
        self.rows = _validation.sparse_gradients.row_values(rows, self.indices)
        self.unique = _validation.scalars.flag("unique", unique)

    def astype(self, dtype: DTypeLike) -> RowSparse:
        """Return a copy with rows of another dtype.

        Parameters
        ----------
        dtype : dtype
            Float32 or float64.

        Returns
        -------
        RowSparse
            With arrays of its own.
        """
        return RowSparse(self.indices.copy(), self.rows.astype(dtype), self.unique)

    def coalesced(self) -> RowSparse:
        """Return a copy with each index once, in ascending order.

        Returns
        -------
        RowSparse
            With arrays of its own, and the promise `unique`. Rows of one index are added in the order in which they
            stand here: what a step makes of both has the same bits.

        Raises
        ------
        IndexError
            When an index is negative.

        Examples
        --------
        >>> import numpy as np, fastopt
        >>> fastopt.RowSparse([7, 2, 7], np.array([1.0, 2.0, 4.0])).coalesced().rows
        array([2., 5.])
        """
        parts = Rows("`self`", self)
        index = contiguous(_validation.sparse_gradients.row_indices(parts.indices))
        rows = contiguous(_validation.sparse_gradients.row_values(parts.rows, index))
        coalescer, n_rows = coalesce.Coalescer(), int(index.max(initial=-1)) + 1
        copied, wrong = coalescer.copy_inside(index, n_rows)
        if wrong >= 0:
            _validation.sparse_gradients.refuse_negative_index(index, wrong)
        distinct, values, _ = coalescer.distinct(copied, rows, n_rows, False, True, _threads.get_num_threads)
        return RowSparse(distinct.astype(index.dtype), values.reshape(len(distinct), *rows.shape[1:]).copy(), True)

    def copy(self) -> RowSparse:
        """Return a copy with arrays of its own.

        Returns
        -------
        RowSparse
            With the same promise about `unique`.
        """
        return RowSparse(self.indices.copy(), self.rows.copy(), self.unique)

    def __repr__(self):
        return described(self)


def is_sparse(grad):
    """Whether a gradient is a RowSparse or comes from scipy.sparse, which this check does not import."""
    if type(grad) is RowSparse:
        return True
    scipy_sparse = sys.modules.get("scipy.sparse")
    return scipy_sparse is not None and scipy_sparse.issparse(grad)


def taken(name, grad):
    """The plain arrays of a sparse gradient; they are still to be checked."""
    if type(grad) is RowSparse:
        return Rows(name, grad)
    if grad.format in ("csr", "csc"):
        return Compressed(name, grad)
    return Coordinates(name, grad.tocoo())


def positions_and_values(name, grad, param, coalescer):
    """Return the positions of a sparse gradient, its values, the width of a row, and `unique`: all checked.

    Positions count rows of `width` entries of the flat parameter; they do not repeat if the caller promised `unique`.
    Both arrays are contiguous. The positions, which C follows, lie in memory that the caller cannot write to.

    Parameters
    ----------
    name : str
        Of the gradient, in messages.
    grad : Rows, Compressed or Coordinates
        What `taken` returned.
    param : ndarray
    coalescer : Coalescer
        Has the memory for the positions.
    """
    promised = False
    if type(grad) is Rows:
        _validation.sparse_gradients.row_sparse(name, grad, param)
        width = param.size // max(len(param), 1)
        index, values, n_positions, promised = grad.indices, grad.rows, len(param), grad.unique
    else:
        _validation.sparse_gradients.scipy_gradient(name, grad, param)
        index, values = _flat(name, grad, param)
        width, n_positions = 1, param.size
    index = contiguous(index)
    copied, wrong = coalescer.copy_inside(index, n_positions)
    if wrong >= 0:
        _validation.sparse_gradients.refuse_index(name, index, wrong, n_positions)
    return copied, contiguous(values), width, promised


def whole_rows(index, values, width):
    """The rows of `width` entries that entries at distinct positions lie in, ascending, and the rows: else zeros."""
    rows, place = np.unique(index // width, return_inverse=True)
    whole = np.zeros((len(rows), width), values.dtype)
    whole[place, index % width] = values
    return rows, whole


def _flat(name, grad, param):
    """Positions in the flat parameter, and values, of a scipy.sparse gradient of its shape."""
    if type(grad) is Compressed:
        return _flat_compressed(name, grad, param)
    coords = grad.coords
    _validation.sparse_gradients.coordinates(name, grad)
    if len(coords) == 1:
        return coords[0], grad.data
    for axis, index in enumerate(coords):
        wrong = coalesce.outside(contiguous(index), grad.shape[axis])
        if wrong >= 0:
            _validation.sparse_gradients.refuse_index(name, index, wrong, grad.shape[axis])
    if param.ndim == 1:
        return coords[int(grad.shape[0] == 1)], grad.data
    return np.ravel_multi_index(coords, grad.shape), grad.data


def _flat_compressed(name, grad, param):
    n_major = _validation.sparse_gradients.compressed(name, grad)
    nnz = int(grad.indptr[-1])
    indices, data = grad.indices[:nnz], grad.data[:nnz]
    n_minor = grad.shape[-1] if grad.format == "csr" else grad.shape[0]
    if n_major == 1 and n_minor == param.size:
        return indices, data  # a vector along the compressed axis
    wrong = coalesce.outside(contiguous(indices), n_minor)
    if wrong >= 0:
        _validation.sparse_gradients.refuse_index(name, indices, wrong, n_minor)
    steps = (n_minor, 1) if grad.format == "csr" else (1, grad.shape[1])
    starts = grad.indptr
    if starts.dtype != indices.dtype:
        starts, indices = starts.astype(np.int64, copy=False), indices.astype(np.int64, copy=False)
    flat = coalesce.flat_positions(contiguous(starts), contiguous(indices), *steps)
    if flat is None:
        _validation.sparse_gradients.refuse_malformed(name, n_major)
    return flat, data


_core.use_sparse_gradients(sys.modules[__name__])
