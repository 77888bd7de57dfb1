# Part of coalesce.pyx: repeated positions are found; where they are few, among single entries, they are merged.

# Positions seen are marked in a bitmap where it takes at most this many bits a position, else in a hash table.
cdef Py_ssize_t MOST_BITS_EACH = 256


cdef bint marked_twice(const index_t *index, Py_ssize_t n, uint64_t *bitmap) noexcept nogil:
    """Mark positions in a bitmap of zeros; whether one was marked before. Asks every 1,024, to end early."""
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


cdef Py_ssize_t slot_of(int64_t row, const int64_t *table, int bits) noexcept nogil:
    """The slot of a position in a hash table of 2^bits slots, or the free slot (-1) that it would take."""
    cdef Py_ssize_t slot = <Py_ssize_t>((<uint64_t>row * <uint64_t>0x9E3779B97F4A7C15) >> (64 - bits))
    while table[slot] != -1 and table[slot] != row:
        slot = (slot + 1) & ((<Py_ssize_t>1 << bits) - 1)
    return slot


cdef bint entered_twice(const index_t *index, Py_ssize_t n, int64_t *table, int bits) noexcept nogil:
    """Enter positions into a hash table of 2^bits > n free slots (-1); whether one was there before."""
    cdef Py_ssize_t k, slot
    for k in range(n):
        slot = slot_of(index[k], table, bits)
        if table[slot] != -1:
            return True
        table[slot] = index[k]
    return False


cdef Py_ssize_t repeated(const index_t *index, Py_ssize_t n, uint64_t *bitmap, int64_t *table, Py_ssize_t most,
                         int bits) noexcept nogil:
    """Enter the repeated positions into a table; how many entries too many, or -1 for over `most`."""
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


cdef void add_repeats(const merge_pass *it, const index_t *index, const real_t *values, index_t *rows,
                      real_t *sums) noexcept nogil:
    """Copy entries but for those whose position has been copied before: they are added to it. `place` starts at -1."""
    cdef const int64_t *table = it.table
    cdef int64_t *place = it.place
    cdef int bits = it.bits
    cdef Py_ssize_t k, slot, n_rows = 0
    for k in range(it.n):
        slot = slot_of(index[k], table, bits)
        if table[slot] != -1 and place[slot] != -1:
            sums[place[slot]] += values[k]
            continue
        if table[slot] != -1:
            place[slot] = n_rows
        rows[n_rows], sums[n_rows] = index[k], values[k]
        n_rows += 1


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
        add_repeats(it, index, <const double *>it.values, rows, <double *>it.sums)
    else:
        add_repeats(it, index, <const float *>it.values, rows, <float *>it.sums)
    return n_repeats
