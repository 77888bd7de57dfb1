"""Typed Cython on the positions of sparse gradients: ranges, duplicates, sums of duplicates.

A sparse gradient is an array of positions (int32 or int64) and an array with one row of values per position. The
kernels want distinct positions, because an update is not linear in the gradient. A `Coalescer` sees to that in time
proportional to the gradient, whatever the size of the parameter, and keeps its scratch memory between steps.
"""

from libc.limits cimport INT_MAX
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memcpy, memset

cimport numpy as cnp
import numpy as np

from ._core cimport parallel_for, useful_threads
from . import _validation

cdef extern from "sparse.h" nogil:
    enum:
        ROWS_AHEAD
        MOST_FETCHED
    void fetch_run(const void *start, Py_ssize_t nbytes, Py_ssize_t most)

cnp.import_array()

ctypedef fused index_t:
    int32_t
    int64_t

ctypedef fused real_t:
    float
    double

cdef enum:
    MOST_DIGIT_BITS = 12              # of a pass of the radix sort: its counters fill the first-level cache

# Positions seen are marked in a bitmap where it takes at most this many bits a position, else in a hash table.
cdef Py_ssize_t MOST_BITS_EACH = 256


# --- ranges and order ------------------------------------------------------------------------------------


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


cdef bint ascending(const index_t *index, Py_ssize_t n) noexcept nogil:
    """Whether positions, all of them not negative, strictly ascend: every difference has its sign bit."""
    cdef index_t signs = -1
    cdef Py_ssize_t k
    for k in range(n - 1):
        signs &= index[k] - index[k + 1]
    return signs < 0


# --- duplicates ------------------------------------------------------------------------------------------


cdef bint marked_twice(const index_t *index, Py_ssize_t n, uint64_t *bitmap) noexcept nogil:
    """Mark positions in a bitmap of zeros; whether one was marked before. Looks up now and then, to end early."""
    cdef Py_ssize_t k, stop, start = 0
    cdef uint64_t bit, twice = 0
    while start < n and not twice:
        stop = min(start + 1024, n)
        for k in range(start, stop):
            bit = <uint64_t>1 << (index[k] & 63)
            twice |= bitmap[index[k] >> 6] & bit
            bitmap[index[k] >> 6] |= bit
        start = stop
    return twice != 0


cdef bint entered_twice(const index_t *index, Py_ssize_t n, int64_t *table, int bits) noexcept nogil:
    """Enter positions into a hash table of 2^bits > n free slots (-1); whether one was there before."""
    cdef Py_ssize_t k, slot, mask = (<Py_ssize_t>1 << bits) - 1
    for k in range(n):
        slot = <Py_ssize_t>((<uint64_t>index[k] * <uint64_t>0x9E3779B97F4A7C15) >> (64 - bits))
        while table[slot] != -1:
            if table[slot] == index[k]:
                return True
            slot = (slot + 1) & mask
        table[slot] = index[k]
    return False


# --- a few duplicates among single entries ----------------------------------------------------------------


cdef Py_ssize_t slot_of(int64_t row, const int64_t *table, int bits) noexcept nogil:
    """Where a position stands in a hash table of 2^bits slots, or the free slot (-1) where it would."""
    cdef Py_ssize_t slot = <Py_ssize_t>((<uint64_t>row * <uint64_t>0x9E3779B97F4A7C15) >> (64 - bits))
    while table[slot] != -1 and table[slot] != row:
        slot = (slot + 1) & ((<Py_ssize_t>1 << bits) - 1)
    return slot


cdef Py_ssize_t repeated(const index_t *index, Py_ssize_t n, uint64_t *bitmap, int64_t *table, Py_ssize_t most,
                         int bits) noexcept nogil:
    """Enter the positions that stand more than once into a table; how many entries too many, or -1 for over `most`."""
    cdef Py_ssize_t k, n_repeats = 0
    cdef uint64_t bit
    for k in range(n):
        bit = <uint64_t>1 << (index[k] & 63)
        if bitmap[index[k] >> 6] & bit:
            if n_repeats == most:
                return -1
            n_repeats += 1
            table[slot_of(index[k], table, bits)] = index[k]
        bitmap[index[k] >> 6] |= bit
    return n_repeats


cdef void add_repeats(const index_t *index, const real_t *values, Py_ssize_t n, const int64_t *table, int bits,
                      int64_t *place, index_t *rows, real_t *sums) noexcept nogil:
    """Copy entries but for those whose position has been copied before: they are added to it. `place` starts at -1."""
    cdef Py_ssize_t k, slot, n_rows = 0
    for k in range(n):
        slot = slot_of(index[k], table, bits)
        if table[slot] != -1 and place[slot] != -1:
            sums[place[slot]] += values[k]
            continue
        if table[slot] != -1:
            place[slot] = n_rows
        rows[n_rows], sums[n_rows] = index[k], values[k]
        n_rows += 1


ctypedef struct merge_pass:
    const void *index
    const void *values
    Py_ssize_t n
    Py_ssize_t most                   # repeated entries that may be merged
    bint double_precision
    void *rows                        # results, of the types of index and values
    void *sums
    uint64_t *bitmap                  # n_words
    Py_ssize_t n_words
    int64_t *table                    # 2^bits slots each
    int64_t *place
    int bits


cdef Py_ssize_t merge(const merge_pass *it, index_t *rows) noexcept nogil:
    """Merge repeated entries, if there are a few only; how many, or -1."""
    cdef const index_t *index = <const index_t *>it.index
    cdef Py_ssize_t n_repeats
    memset(it.bitmap, 0, it.n_words * 8)
    memset(it.table, 0xff, <Py_ssize_t>8 << it.bits)
    n_repeats = repeated(index, it.n, it.bitmap, it.table, it.most, it.bits)
    if n_repeats <= 0:
        return n_repeats
    memset(it.place, 0xff, <Py_ssize_t>8 << it.bits)
    if it.double_precision:
        add_repeats(index, <const double *>it.values, it.n, it.table, it.bits, it.place, rows, <double *>it.sums)
    else:
        add_repeats(index, <const float *>it.values, it.n, it.table, it.bits, it.place, rows, <float *>it.sums)
    return n_repeats


# --- sorting and summing ---------------------------------------------------------------------------------

# An entry of the sort is a position and, in its low bits, where it stands in the gradient.


cdef int bits_of(uint64_t value) noexcept nogil:
    """Bits needed to write a number."""
    cdef int bits = 0
    while value >> bits:
        bits += 1
        if bits == 64:
            break
    return bits


cdef void fill_entries(uint64_t *entries, const index_t *index, Py_ssize_t n, int low_bits) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(n):
        entries[k] = <uint64_t>index[k] << low_bits | <uint64_t>k


cdef void sort_pass(const uint64_t *source, uint64_t *target, Py_ssize_t n, int shift, int digit_bits) noexcept nogil:
    """One stable pass of a radix sort by the digit at `shift`."""
    cdef Py_ssize_t start[(1 << MOST_DIGIT_BITS) + 1]
    cdef Py_ssize_t k, digit, size = <Py_ssize_t>1 << digit_bits
    memset(start, 0, (size + 1) * sizeof(Py_ssize_t))
    for k in range(n):
        start[((source[k] >> shift) & (size - 1)) + 1] += 1
    for digit in range(size):
        start[digit + 1] += start[digit]
    for k in range(n):
        digit = (source[k] >> shift) & (size - 1)
        target[start[digit]] = source[k]
        start[digit] += 1


cdef uint64_t *sort_entries(uint64_t *entries, uint64_t *spare, Py_ssize_t n, int low_bits,
                            int row_bits) noexcept nogil:
    """Sort by position, equal ones in the order they stand in; the result is in one of the two buffers."""
    cdef int n_passes = (row_bits + MOST_DIGIT_BITS - 1) // MOST_DIGIT_BITS
    cdef int digit_bits = (row_bits + n_passes - 1) // n_passes if n_passes else 0, turn
    for turn in range(n_passes):
        sort_pass(entries, spare, n, low_bits + turn * digit_bits, digit_bits)
        entries, spare = spare, entries
    return entries


cdef Py_ssize_t group_entries(const uint64_t *entries, Py_ssize_t n, int low_bits, index_t *rows,
                              Py_ssize_t *start) noexcept nogil:
    """Distinct positions of sorted entries, and where the entries of each start; returns how many."""
    cdef Py_ssize_t k, n_groups = 0
    cdef index_t row, last = -1
    for k in range(n):
        row = <index_t>(entries[k] >> low_bits)
        if row != last:
            rows[n_groups], start[n_groups] = row, k
            n_groups += 1
            last = row
    start[n_groups] = n
    return n_groups


ctypedef struct sum_pass:
    const uint64_t *entries
    uint64_t at_mask                  # the low bits of an entry: where it stands
    const Py_ssize_t *start
    const void *values
    void *sums
    Py_ssize_t width
    bint double_precision


cdef void sum_rows(const sum_pass *it, const real_t *values, real_t *sums, Py_ssize_t first,
                   Py_ssize_t last) noexcept nogil:
    """Add the values of each group in the order in which they stand in the gradient."""
    cdef Py_ssize_t group, k, j, width = it.width
    cdef const real_t *row
    cdef real_t *total
    for group in range(first, last):
        total = sums + group * width
        memcpy(total, values + <Py_ssize_t>(it.entries[it.start[group]] & it.at_mask) * width, width * sizeof(real_t))
        for k in range(it.start[group] + 1, it.start[group + 1]):
            row = values + <Py_ssize_t>(it.entries[k] & it.at_mask) * width
            for j in range(width):
                total[j] += row[j]


cdef void sum_groups(const void *context, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef const sum_pass *it = <const sum_pass *>context
    if it.double_precision:
        sum_rows[double](it, <const double *>it.values, <double *>it.sums, first, last)
    else:
        sum_rows[float](it, <const float *>it.values, <float *>it.sums, first, last)


# --- for Python ------------------------------------------------------------------------------------------


def outside(cnp.ndarray index, Py_ssize_t n_rows):
    """Where the first position outside [0, n_rows) stands in a contiguous int32 or int64 array; -1: nowhere."""
    cdef Py_ssize_t n = cnp.PyArray_SIZE(index)
    if cnp.PyArray_ITEMSIZE(index) == 8:
        return first_outside(<const int64_t *>cnp.PyArray_DATA(index), n, n_rows)
    return first_outside(<const int32_t *>cnp.PyArray_DATA(index), n, n_rows)


cdef void expand(const index_t *indptr, const index_t *indices, Py_ssize_t n_major, Py_ssize_t major_step,
                 Py_ssize_t minor_step, int64_t *flat) noexcept nogil:
    cdef Py_ssize_t major, k
    for major in range(n_major):
        for k in range(<Py_ssize_t>indptr[major], <Py_ssize_t>indptr[major + 1]):
            flat[k] = major * major_step + indices[k] * minor_step


def flat_positions(cnp.ndarray indptr, cnp.ndarray indices, Py_ssize_t major_step, Py_ssize_t minor_step):
    """Positions in the flat parameter of the entries of a valid CSR or CSC matrix."""
    cdef Py_ssize_t n_major = cnp.PyArray_SIZE(indptr) - 1
    flat = np.empty(cnp.PyArray_SIZE(indices), np.int64)
    cdef int64_t *out = <int64_t *>cnp.PyArray_DATA(<cnp.ndarray>flat)
    if cnp.PyArray_ITEMSIZE(indices) == 8:
        expand(<const int64_t *>cnp.PyArray_DATA(indptr), <const int64_t *>cnp.PyArray_DATA(indices), n_major,
               major_step, minor_step, out)
    else:
        expand(<const int32_t *>cnp.PyArray_DATA(indptr), <const int32_t *>cnp.PyArray_DATA(indices), n_major,
               major_step, minor_step, out)
    return flat


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

    def room(self, Py_ssize_t nbytes):
        """Scratch memory of some bytes, until the next call; None for no bytes."""
        return self.buffer("room", (nbytes + 7) // 8, np.int64) if nbytes else None

    def distinct(self, cnp.ndarray index, cnp.ndarray values, Py_ssize_t n_rows, bint promised, bint in_order,
                 allowed_threads):
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
        cdef bint wide = cnp.PyArray_ITEMSIZE(index) == 8
        cdef int bits = bits_of(2 * n)
        cdef void *seen
        if n_rows <= MOST_BITS_EACH * n:
            seen = cnp.PyArray_DATA(self.buffer("bitmap", n_words, np.uint64))
            with nogil:
                memset(seen, 0, n_words * 8)
                if wide:
                    return marked_twice(<const int64_t *>positions, n, <uint64_t *>seen)
                return marked_twice(<const int32_t *>positions, n, <uint64_t *>seen)
        seen = cnp.PyArray_DATA(self.buffer("table", <Py_ssize_t>1 << bits, np.int64))
        with nogil:
            memset(seen, 0xff, <Py_ssize_t>8 << bits)
            if wide:
                return entered_twice(<const int64_t *>positions, n, <int64_t *>seen, bits)
            return entered_twice(<const int32_t *>positions, n, <int64_t *>seen, bits)

    cdef tuple add_few_duplicates(self, cnp.ndarray index, cnp.ndarray values, Py_ssize_t n_rows):
        """What `distinct` returns, unsorted, if no positions repeat or only a few single entries; else None."""
        cdef Py_ssize_t n = cnp.PyArray_SIZE(index), n_repeats, most = n // 8
        cdef int bits = bits_of(4 * most + 4)
        cdef bint wide = cnp.PyArray_ITEMSIZE(index) == 8
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
            n_repeats = merge(&it, <int64_t *>it.rows) if wide else merge(&it, <int32_t *>it.rows)
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
        cdef bint wide = cnp.PyArray_ITEMSIZE(index) == 8
        cdef sum_pass it
        if low_bits + row_bits > 64:
            _validation.refuse_sparse_size(n, n_rows)
        with nogil:
            if wide:
                fill_entries(entries, <const int64_t *>positions, n, low_bits)
            else:
                fill_entries(entries, <const int32_t *>positions, n, low_bits)
            entries = sort_entries(entries, spare, n, low_bits, row_bits)
            if wide:
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


# --- rows of data ----------------------------------------------------------------------------------------


cdef void row_starts(const index_t *indptr, const int64_t *order, Py_ssize_t n, index_t *starts) noexcept nogil:
    cdef Py_ssize_t k
    starts[0] = 0
    for k in range(n):
        starts[k + 1] = starts[k] + indptr[order[k] + 1] - indptr[order[k]]


cdef void copy_rows(const index_t *indptr, const index_t *indices, const real_t *data, const int64_t *order,
                    Py_ssize_t n, const index_t *starts, index_t *to_indices, real_t *to_data) noexcept nogil:
    cdef Py_ssize_t k, count, ahead
    for k in range(n):
        if k + ROWS_AHEAD < n:
            ahead = k + ROWS_AHEAD
            count = starts[ahead + 1] - starts[ahead]
            fetch_run(indices + indptr[order[ahead]], count * sizeof(index_t), MOST_FETCHED)
            fetch_run(data + indptr[order[ahead]], count * sizeof(real_t), MOST_FETCHED)
        count = starts[k + 1] - starts[k]
        memcpy(to_indices + starts[k], indices + indptr[order[k]], count * sizeof(index_t))
        memcpy(to_data + starts[k], data + indptr[order[k]], count * sizeof(real_t))


def take_rows(const index_t[::1] indptr, const index_t[::1] indices, const real_t[::1] data, const int64_t[::1] order):
    """Rows of a valid CSR matrix: the arrays of a new one. `order` is inside the matrix, and so is every row."""
    cdef Py_ssize_t n = order.shape[0]
    dtype = np.int64 if index_t is int64_t else np.int32
    starts = np.empty(n + 1, dtype)
    cdef index_t[::1] to_starts = starts
    row_starts(&indptr[0], &order[0], n, &to_starts[0])
    columns, values = np.empty(starts[n], dtype), np.empty(starts[n], np.float64 if real_t is double else np.float32)
    cdef index_t[::1] to_indices = columns
    cdef real_t[::1] to_data = values
    if starts[n] > 0:
        copy_rows(&indptr[0], &indices[0], &data[0], &order[0], n, &to_starts[0], &to_indices[0], &to_data[0])
    return values, columns, starts
