"""Typed Cython on the positions of sparse gradients: ranges, duplicates, sums of duplicates.

A sparse gradient is an array of positions (int32 or int64) and an array with one row of values per position. The
kernels want distinct positions, because an update is not linear in the gradient. A `Coalescer` makes them so in time
proportional to the gradient, whatever the size of the parameter, and keeps its scratch memory between steps.
"""

from libc.limits cimport INT_MAX
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memcpy, memset

cimport numpy as cnp
import numpy as np

from .._core cimport parallel_for, useful_threads
from .._fused cimport index_t, real_t
from .. import _validation

cnp.import_array()


# Another type of positions than `index_t`, so that both can be told apart.
ctypedef fused copied_t:
    int32_t
    int64_t


include "duplicates.pxi"
include "sorting.pxi"


cdef bint all_inside(const index_t *index, Py_ssize_t n, index_t n_rows) noexcept nogil:
    """Whether every position is in [0, n_rows): no sign bit in it, nor in its distance to the last."""
    cdef uint64_t signs = 0
    cdef Py_ssize_t k
    for k in range(n):
        signs |= <uint64_t>index[k] | (<uint64_t>(n_rows - 1) - <uint64_t>index[k])
    return signs >> 63 == 0


cdef Py_ssize_t first_outside(const index_t *index, Py_ssize_t n, Py_ssize_t n_rows) noexcept nogil:
    """Where the first position outside [0, n_rows) stands; -1 if there is none."""
    cdef Py_ssize_t k
    if n_rows > 0 and (sizeof(index_t) == 8 or n_rows <= 0x7fffffff) and all_inside(index, n, <index_t>n_rows):
        return -1
    for k in range(n):
        if index[k] < 0 or index[k] >= n_rows:
            return k
    return -1


cdef bint copy_checked(const index_t *index, Py_ssize_t n, Py_ssize_t n_rows, copied_t *copied) noexcept nogil:
    """Copy positions; whether every one is in [0, n_rows)."""
    cdef uint64_t signs = 0
    cdef int64_t position
    cdef Py_ssize_t k
    for k in range(n):
        position = index[k]
        copied[k] = <copied_t>position
        signs |= <uint64_t>position | <uint64_t>(n_rows - 1 - position)
    return signs >> 63 == 0


cdef bint ascending(const index_t *index, Py_ssize_t n) noexcept nogil:
    """Whether positions, all of them not negative, strictly ascend: every difference has its sign bit."""
    cdef index_t signs = -1
    cdef Py_ssize_t k
    for k in range(n - 1):
        signs &= index[k] - index[k + 1]
    return signs < 0


def outside(cnp.ndarray index not None, Py_ssize_t n_rows):
    """Where the first position outside [0, n_rows) stands in a contiguous int32 or int64 array; -1: nowhere."""
    cdef Py_ssize_t n = cnp.PyArray_SIZE(index)
    if cnp.PyArray_ITEMSIZE(index) == 8:
        return first_outside(<const int64_t *>cnp.PyArray_DATA(index), n, n_rows)
    return first_outside(<const int32_t *>cnp.PyArray_DATA(index), n, n_rows)


cdef bint expand(const index_t *indptr, const index_t *indices, Py_ssize_t n_major, Py_ssize_t nnz,
                 const Py_ssize_t *steps, int64_t *flat) noexcept nogil:
    """Whether `indptr` ascends from 0 to nnz; each of its entries is read once, as another thread may change it."""
    cdef Py_ssize_t major, k, start = 0, stop
    for major in range(n_major):
        stop = <Py_ssize_t>indptr[major + 1]
        if stop < start or stop > nnz:
            return False
        for k in range(start, stop):
            flat[k] = major * steps[0] + indices[k] * steps[1]
        start = stop
    return start == nnz


def flat_positions(cnp.ndarray indptr not None, cnp.ndarray indices not None, Py_ssize_t major_step,
                   Py_ssize_t minor_step):
    """Positions in the flat parameter of the entries of a CSR or CSC matrix; None if its pointers are malformed.

    Both arrays are contiguous and of one integer dtype.
    """
    cdef Py_ssize_t n_major = cnp.PyArray_SIZE(indptr) - 1, nnz = cnp.PyArray_SIZE(indices)
    cdef Py_ssize_t[2] steps = [major_step, minor_step]
    cdef bint well_formed
    flat = np.empty(nnz, np.int64)
    cdef int64_t *out = <int64_t *>cnp.PyArray_DATA(<cnp.ndarray?>flat)
    cdef const void *pointers = cnp.PyArray_DATA(indptr)
    cdef const void *at = cnp.PyArray_DATA(indices)
    if cnp.PyArray_ITEMSIZE(indices) == 8:
        well_formed = expand(<const int64_t *>pointers, <const int64_t *>at, n_major, nnz, steps, out)
    else:
        well_formed = expand(<const int32_t *>pointers, <const int32_t *>at, n_major, nnz, steps, out)
    return flat if well_formed else None


cdef class Coalescer:
    """Makes the positions of sparse gradients of one parameter distinct; owns its scratch memory."""

    cdef dict scratch

    def __cinit__(self):
        self.scratch = {}

    cdef cnp.ndarray buffer(self, str name, Py_ssize_t n, dtype):
        """Scratch memory for n items, kept for the next step; twice what is asked when it has to grow."""
        memory = self.scratch.get(name)
        if memory is None or memory.size < n or memory.dtype != dtype:
            memory = self.scratch[name] = np.empty(2 * n, dtype)
        return memory

    def workspace(self, Py_ssize_t nbytes):
        """Scratch memory of some bytes, until the next call; None for no bytes."""
        return self.buffer("workspace", (nbytes + 7) // 8, np.int64) if nbytes else None

    def copy_inside(self, cnp.ndarray index not None, Py_ssize_t n_positions):
        """A copy of positions, contiguous and int32 or int64, and where the first outside [0, n_positions) stands.

        That is -1 if there is none. What is checked is what is copied: each position is read once. The copy is int32 if
        that will do. It lies in scratch memory, until the next call.
        """
        cdef Py_ssize_t n = cnp.PyArray_SIZE(index)
        cdef bint index64 = cnp.PyArray_ITEMSIZE(index) == 8, narrow = n_positions <= INT_MAX, are_inside
        cdef const void *source = cnp.PyArray_DATA(index)
        copied = self.buffer("positions", n, np.int32 if narrow else np.int64)[:n]
        cdef void *target = cnp.PyArray_DATA(<cnp.ndarray?>copied)
        if narrow and index64:
            are_inside = copy_checked(<const int64_t *>source, n, n_positions, <int32_t *>target)
        elif narrow:
            are_inside = copy_checked(<const int32_t *>source, n, n_positions, <int32_t *>target)
        elif index64:
            are_inside = copy_checked(<const int64_t *>source, n, n_positions, <int64_t *>target)
        else:
            are_inside = copy_checked(<const int32_t *>source, n, n_positions, <int64_t *>target)
        return copied, -1 if are_inside else max(outside(index, n_positions), 0)

    def distinct(self, cnp.ndarray index not None, cnp.ndarray values not None, Py_ssize_t n_rows, bint promised,
                 bint in_order, allowed_threads):
        """Return positions without duplicates, their values, and whether they are known to ascend.

        Duplicates are added in the order in which they stand. Where there are none, and no order is asked for,
        the arrays come back as they are; else the results lie in scratch memory, until the next call.

        Parameters
        ----------
        index, values : ndarray
            Contiguous; positions inside [0, n_rows), one row of values each.
        promised : bool
            Whether the caller vouches for distinct positions. Nothing is checked then.
        in_order : bool
            Whether the result has to ascend.
        allowed_threads : callable
            Tells the number of threads; not called for small work.
        """
        cdef Py_ssize_t n = cnp.PyArray_SIZE(index)
        cdef int num_threads
        if n < 2:
            return index, values, True
        if promised and not in_order:
            return index, values, False
        if self.ascend(index):
            return index, values, True
        if not in_order:
            few = self.add_few_duplicates(index, values, n_rows)
            if few is not None:
                return few
        num_threads = useful_threads(cnp.PyArray_NBYTES(values), INT_MAX)
        if num_threads > 1:
            num_threads = min(num_threads, <int>allowed_threads())
        return *self.add_duplicates(index, values, n_rows, num_threads), True

    cdef bint ascend(self, cnp.ndarray index):
        cdef Py_ssize_t n = cnp.PyArray_SIZE(index)
        if cnp.PyArray_ITEMSIZE(index) == 8:
            return ascending(<const int64_t *>cnp.PyArray_DATA(index), n)
        return ascending(<const int32_t *>cnp.PyArray_DATA(index), n)

    cdef bint repeats(self, cnp.ndarray index, Py_ssize_t n_rows):
        cdef Py_ssize_t n = cnp.PyArray_SIZE(index), n_words = n_rows // 64 + 1
        cdef const void *positions = cnp.PyArray_DATA(index)
        cdef bint index64 = cnp.PyArray_ITEMSIZE(index) == 8
        cdef int bits = bits_of(2 * n)
        cdef void *seen
        if n_rows <= MOST_BITS_EACH * n:
            seen = cnp.PyArray_DATA(self.buffer("bitmap", n_words, np.uint64))
            with nogil:
                memset(seen, 0, n_words * 8)
                if index64:
                    return marked_twice(<const int64_t *>positions, n, <uint64_t *>seen)
                return marked_twice(<const int32_t *>positions, n, <uint64_t *>seen)
        seen = cnp.PyArray_DATA(self.buffer("table", <Py_ssize_t>1 << bits, np.int64))
        with nogil:
            memset(seen, 0xff, <Py_ssize_t>8 << bits)
            if index64:
                return entered_twice(<const int64_t *>positions, n, <int64_t *>seen, bits)
            return entered_twice(<const int32_t *>positions, n, <int64_t *>seen, bits)

    cdef tuple add_few_duplicates(self, cnp.ndarray index, cnp.ndarray values, Py_ssize_t n_rows):
        """What `distinct` returns, unsorted, if no positions repeat or only a few single entries; else None."""
        cdef Py_ssize_t n = cnp.PyArray_SIZE(index), n_repeats, most = n // 8
        cdef int bits = bits_of(4 * most + 4)
        cdef bint index64 = cnp.PyArray_ITEMSIZE(index) == 8
        cdef merge_pass it
        if n_rows > MOST_BITS_EACH * n or cnp.PyArray_SIZE(values) != n:
            return None if self.repeats(index, n_rows) else (index, values, False)
        rows, sums = self.buffer("rows", n, index.dtype), self.buffer("sums", n, values.dtype)
        it.n, it.most, it.bits, it.n_words = n, most, bits, n_rows // 64 + 1
        it.double_precision = cnp.PyArray_ITEMSIZE(values) == 8
        it.values, it.sums = cnp.PyArray_DATA(values), cnp.PyArray_DATA(<cnp.ndarray>sums)
        it.bitmap = <uint64_t *>cnp.PyArray_DATA(self.buffer("bitmap", it.n_words, np.uint64))
        it.table = <int64_t *>cnp.PyArray_DATA(self.buffer("table", 1 << bits, np.int64))
        it.place = <int64_t *>cnp.PyArray_DATA(self.buffer("place", 1 << bits, np.int64))
        it.index, it.rows = cnp.PyArray_DATA(index), cnp.PyArray_DATA(<cnp.ndarray>rows)
        with nogil:
            n_repeats = merge(&it, <int64_t *>it.rows) if index64 else merge(&it, <int32_t *>it.rows)
        if n_repeats <= 0:
            return None if n_repeats < 0 else (index, values, False)
        return rows[: n - n_repeats], sums[: n - n_repeats], False

    cdef tuple add_duplicates(self, cnp.ndarray index, cnp.ndarray values, Py_ssize_t n_rows, int num_threads):
        """Sort the positions and add the values of equal ones."""
        cdef Py_ssize_t n = cnp.PyArray_SIZE(index), n_groups, width = cnp.PyArray_SIZE(values) // n
        cdef int low_bits = bits_of(n - 1), row_bits = bits_of(n_rows - 1)
        cdef uint64_t *entries = <uint64_t *>cnp.PyArray_DATA(self.buffer("entries", n, np.uint64))
        cdef uint64_t *spare = <uint64_t *>cnp.PyArray_DATA(self.buffer("spare", n, np.uint64))
        cdef Py_ssize_t *start = <Py_ssize_t *>cnp.PyArray_DATA(self.buffer("start", n + 1, np.intp))
        rows, sums = self.buffer("rows", n, index.dtype), self.buffer("sums", n * width, values.dtype)
        cdef void *rows_data = cnp.PyArray_DATA(<cnp.ndarray>rows)
        cdef const void *positions = cnp.PyArray_DATA(index)
        cdef bint index64 = cnp.PyArray_ITEMSIZE(index) == 8
        cdef sum_pass it
        if low_bits + row_bits > 64:
            _validation.sparse_gradients.refuse_sparse_size(n, n_rows)
        with nogil:
            if index64:
                fill_entries(entries, <const int64_t *>positions, n, low_bits)
            else:
                fill_entries(entries, <const int32_t *>positions, n, low_bits)
            entries = sort_entries(entries, spare, n, low_bits, row_bits)
            if index64:
                n_groups = group_entries(entries, n, low_bits, <int64_t *>rows_data, start)
            else:
                n_groups = group_entries(entries, n, low_bits, <int32_t *>rows_data, start)
        it.entries, it.start, it.width = entries, start, width
        it.at_mask = (<uint64_t>1 << low_bits) - 1
        it.values, it.sums = cnp.PyArray_DATA(values), cnp.PyArray_DATA(<cnp.ndarray>sums)
        it.double_precision = cnp.PyArray_ITEMSIZE(values) == 8
        with nogil:
            parallel_for(n_groups, num_threads, sum_groups, &it)
        return rows[:n_groups], sums[: n_groups * width]
