# Part of _core.pyx: memory for the steps that rows may be behind by, which C adds (csrc/update/catch_up.h).

# So many steps are kept at least before all rows catch up; and one for so many rows, which then do so in the time that
# as many steps have for their own rows.
cdef Py_ssize_t LEAST_HISTORY = 4096
cdef Py_ssize_t ROWS_PER_STEP = 32


cdef class History:
    """The steps since all rows were up to date."""

    def __dealloc__(self):
        cdef int dtype
        for dtype in range(FO_MAX_DTYPES):
            PyMem_Free(self.it.maps[dtype])
            PyMem_Free(self.it.past[dtype])

    cdef void bind(self, const fo_work *work, const fo_rule *rule, int form) noexcept:
        """Take steps of a rule from now on, for the rows of these arrays."""
        cdef Py_ssize_t k, n_rows = 0
        self.it.rule, self.it.form = rule, form
        for k in range(work.n_arrays):
            n_rows += work.arrays[k].size // work.arrays[k].row_width
            self.dtype_used[work.arrays[k].dtype] = True
        self.most = max(LEAST_HISTORY, n_rows // ROWS_PER_STEP)

    cdef bint is_full(self) noexcept:
        return self.it.n >= self.most

    cdef int reserve(self, Py_ssize_t n_steps) except -1:
        """See to memory for so many more steps."""
        cdef Py_ssize_t needed = self.it.n + n_steps, capacity
        cdef int dtype
        if needed <= self.it.capacity:
            return 0
        capacity = max(64, needed, 2 * self.it.capacity)
        for dtype in range(FO_MAX_DTYPES):
            if self.dtype_used[dtype]:
                self.it.maps[dtype] = <double *>grown(self.it.maps[dtype], 2 * capacity * fo_map_bytes(self.it.rule))
                self.it.past[dtype] = grown(self.it.past[dtype], capacity * fo_past_bytes(self.it.rule, dtype))
        self.it.capacity = capacity
        return 0


cdef void *grown(void *memory, size_t nbytes) except NULL:
    """More memory with the same contents; without it the old one is as it was."""
    cdef void *larger = PyMem_Realloc(memory, nbytes if nbytes > 0 else 1)
    if larger == NULL:
        raise MemoryError()
    return larger
