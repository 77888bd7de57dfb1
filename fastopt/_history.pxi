# Part of _core.pyx: memory for the steps that rows may be behind by, which C adds (csrc/update/catch_up.h).

# So many steps are kept at least before all rows catch up; and one for so many rows, which then do so in the time that
# as many steps have for their own rows.
cdef Py_ssize_t LEAST_HISTORY = 4096
cdef Py_ssize_t ROWS_PER_STEP = 128


cdef class History:
    """The steps of an array since all of its rows were up to date."""

    def __dealloc__(self):
        PyMem_Free(self.it.maps)
        PyMem_Free(self.it.past)

    cdef void bind(self, int dtype, Py_ssize_t n_rows, const fo_rule *rule, int form) noexcept:
        """Take steps of a rule from now on, for so many rows."""
        self.it.rule, self.it.form, self.it.dtype = rule, form, dtype
        self.most = max(LEAST_HISTORY, n_rows // ROWS_PER_STEP)

    cdef Py_ssize_t room(self) noexcept:
        """How many more steps rows may be behind by."""
        return self.most - self.it.n

    cdef int reserve(self, Py_ssize_t n_steps) except -1:
        """See to memory for so many more steps."""
        cdef Py_ssize_t needed = self.it.n + n_steps, capacity
        if needed <= self.it.capacity:
            return 0
        capacity = max(64, needed, min(2 * self.it.capacity, self.most))
        self.it.maps = <double *>grown(self.it.maps, 2 * capacity * fo_map_bytes(self.it.rule))
        self.it.past = grown(self.it.past, capacity * fo_past_bytes(self.it.rule, self.it.dtype))
        self.it.capacity = capacity
        return 0


cdef void *grown(void *memory, size_t nbytes) except NULL:
    """More memory with the same contents; without it the old one is as it was."""
    cdef void *larger = PyMem_Realloc(memory, nbytes if nbytes > 0 else 1)
    if larger == NULL:
        raise MemoryError()
    return larger
