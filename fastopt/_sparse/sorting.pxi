# Part of coalesce.pyx: many positions are sorted, and the values of equal ones added in their order.

cdef enum:
    MOST_DIGIT_BITS = 12              # of a pass of the radix sort: its counters fill the first-level cache

# An entry of the sort is a position and, in its low bits, its place in the gradient.


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
    """Sort by position, equal ones in their order; the result is in one of the two buffers."""
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
    """Add the values of each group in their order in the gradient."""
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
