"""Typed Cython that takes samples out of CSR data: the mini-batches of objectives written in Python."""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy

cimport numpy as cnp
import numpy as np

from .. import _validation
from .._memory import frozen

from .._csrc cimport MOST_PREFETCHED, ROWS_AHEAD, prefetch_range
from .._fused cimport index_t
from .._memory cimport Held, is_unchanged

cnp.import_array()


cdef bint sample_starts(const index_t *indptr, const int64_t *order, Py_ssize_t n, Py_ssize_t n_samples,
                        index_t *starts) noexcept nogil:
    """Whether all samples in an order are there."""
    cdef Py_ssize_t k
    starts[0] = 0
    for k in range(n):
        if order[k] < 0 or order[k] >= n_samples:
            return False
        starts[k + 1] = starts[k] + indptr[order[k] + 1] - indptr[order[k]]
    return True


cdef void copy_samples(const index_t *indptr, const int64_t *order, Py_ssize_t n, const index_t *starts,
                       const char *source, char *target, Py_ssize_t itemsize) noexcept nogil:
    """The samples in an order, side by side: their indices, or their data."""
    cdef Py_ssize_t k, ahead
    for k in range(n):
        if k + ROWS_AHEAD < n:
            ahead = k + ROWS_AHEAD
            prefetch_range(source + indptr[order[ahead]] * itemsize, (starts[ahead + 1] - starts[ahead]) * itemsize,
                           MOST_PREFETCHED)
        memcpy(target + starts[k] * itemsize, source + indptr[order[k]] * itemsize,
               (starts[k + 1] - starts[k]) * itemsize)


cdef bint all_columns_inside(const index_t *columns, Py_ssize_t n, Py_ssize_t n_columns) noexcept nogil:
    cdef bint is_inside = True
    cdef Py_ssize_t k
    for k in range(n):
        is_inside &= 0 <= columns[k] < n_columns
    return is_inside


cdef class CsrSamples:
    """A CSR matrix, of no subclass and with one dtype of indices, whose batches are taken faster than by SciPy.

    It reads the arrays that were checked, even if the caller gives the matrix others, and checks columns as it copies
    them; of the row pointers, which say where to read, it has a copy.
    """

    cdef dict held                    # data and indices, which are the caller's
    cdef cnp.ndarray indptr
    cdef object kind
    cdef readonly tuple shape

    def __cinit__(self, matrix):
        self.kind, self.shape = type(matrix), matrix.shape
        self.held = {name: Held(getattr(matrix, name)) for name in ("data", "indices")}
        self.indptr = frozen(matrix.indptr)
        views = [(<Held>held).view for held in self.held.values()]
        own = _validation.objectives.csr_of(self.kind, *views, self.indptr, self.shape)
        _validation.objectives.row_pointers("data", own)

    def __getitem__(self, rows):
        """The samples at an int64 array or in a slice, as a matrix."""
        for name, each in self.held.items():
            held = <Held>each
            if not is_unchanged(held):
                _validation.parameters.refuse_moved(f"`data.{name}`", "run", held.array, held.view)
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(self.shape[0]))
        order = np.array(rows, np.int64, ndmin=1)
        data, columns, starts = self.take(order)
        return _validation.objectives.csr_of(self.kind, data, columns, starts, (len(order), self.shape[1]))

    cdef tuple take(self, cnp.ndarray order):
        cdef cnp.ndarray indices = (<Held>self.held["indices"]).view, data = (<Held>self.held["data"]).view
        cdef Py_ssize_t n = cnp.PyArray_SIZE(order), n_samples = self.shape[0], n_columns = self.shape[1], nnz
        cdef bint index64 = cnp.PyArray_ITEMSIZE(indices) == 8, are_inside
        cdef const int64_t *at = <const int64_t *>cnp.PyArray_DATA(order)
        cdef const void *indptr = cnp.PyArray_DATA(self.indptr)
        starts = np.empty(n + 1, indices.dtype)
        cdef void *to_starts = cnp.PyArray_DATA(<cnp.ndarray?>starts)
        if index64:
            are_inside = sample_starts(<const int64_t *>indptr, at, n, n_samples, <int64_t *>to_starts)
        else:
            are_inside = sample_starts(<const int32_t *>indptr, at, n, n_samples, <int32_t *>to_starts)
        if not are_inside:
            _validation.samples.refuse_rows(order, n_samples)
        nnz = int(starts[n])
        columns, values = np.empty(nnz, indices.dtype), np.empty(nnz, data.dtype)
        for source, target in ((indices, columns), (data, values)):
            if index64:
                copy_samples(<const int64_t *>indptr, at, n, <const int64_t *>to_starts,
                             <const char *>cnp.PyArray_DATA(<cnp.ndarray>source),
                             <char *>cnp.PyArray_DATA(<cnp.ndarray>target), cnp.PyArray_ITEMSIZE(<cnp.ndarray>source))
            else:
                copy_samples(<const int32_t *>indptr, at, n, <const int32_t *>to_starts,
                             <const char *>cnp.PyArray_DATA(<cnp.ndarray>source),
                             <char *>cnp.PyArray_DATA(<cnp.ndarray>target), cnp.PyArray_ITEMSIZE(<cnp.ndarray>source))
        if index64:
            are_inside = all_columns_inside(<const int64_t *>cnp.PyArray_DATA(<cnp.ndarray?>columns), nnz, n_columns)
        else:
            are_inside = all_columns_inside(<const int32_t *>cnp.PyArray_DATA(<cnp.ndarray?>columns), nnz, n_columns)
        if not are_inside:
            _validation.samples.refuse_columns(columns, n_columns)
        return values, columns, starts
