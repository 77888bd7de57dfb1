"""Typed Cython that takes samples out of CSR data: the mini-batches of objectives written in Python."""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy

cimport numpy as cnp
import numpy as np

from .._csrc cimport MOST_PREFETCHED, ROWS_AHEAD, prefetch_range
from .._fused cimport index_t, real_t

cnp.import_array()


ctypedef fused value_t:
    int32_t
    int64_t
    float
    double


cdef void sample_starts(const index_t *indptr, const int64_t *order, Py_ssize_t n, index_t *starts) noexcept nogil:
    cdef Py_ssize_t k
    starts[0] = 0
    for k in range(n):
        starts[k + 1] = starts[k] + indptr[order[k] + 1] - indptr[order[k]]


cdef void copy_samples(const index_t *indptr, const int64_t *order, Py_ssize_t n, const index_t *starts,
                       const value_t *source, value_t *target) noexcept nogil:
    """The samples in an order, side by side: their indices, or their data."""
    cdef Py_ssize_t k, ahead
    for k in range(n):
        if k + ROWS_AHEAD < n:
            ahead = k + ROWS_AHEAD
            prefetch_range(source + indptr[order[ahead]], (starts[ahead + 1] - starts[ahead]) * sizeof(value_t),
                           MOST_PREFETCHED)
        memcpy(target + starts[k], source + indptr[order[k]], (starts[k + 1] - starts[k]) * sizeof(value_t))


def take_samples(const index_t[::1] indptr, const index_t[::1] indices, const real_t[::1] data,
                 const int64_t[::1] order):
    """Samples of a valid CSR matrix: the arrays of a new one. `order` is inside the matrix, and so is every sample."""
    cdef Py_ssize_t n = order.shape[0]
    dtype = np.int64 if index_t is int64_t else np.int32
    starts = np.empty(n + 1, dtype)
    cdef index_t[::1] to_starts = starts
    sample_starts(&indptr[0], &order[0], n, &to_starts[0])
    columns, values = np.empty(starts[n], dtype), np.empty(starts[n], np.float64 if real_t is double else np.float32)
    cdef index_t[::1] to_indices = columns
    cdef real_t[::1] to_data = values
    if starts[n] > 0:
        copy_samples(&indptr[0], &order[0], n, &to_starts[0], &indices[0], &to_indices[0])
        copy_samples(&indptr[0], &order[0], n, &to_starts[0], &data[0], &to_data[0])
    return values, columns, starts
