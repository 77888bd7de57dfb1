# Part of _core.pyx: passes over rows that are behind, which are no steps.

cdef class Lagging(Grouped):
    """An optimizer whose rows, or their state, may be behind: they are brought up to date before they are used."""

    cdef bint covers(self, Py_ssize_t k) noexcept:
        """Whether all rows of array k, or their state, must be up to date before its gradient is applied.

        So for one that covers all of them; and for one that is absent, unless there is a history of the array, in which
        the step is left out then.
        """
        cdef fo_layout layout = self.it.work.arrays[k].layout
        return self.it.work.arrays[k].last_step != NULL and (
            layout == FO_DENSE or layout == FO_EXPANDED or (layout == FO_ABSENT and not self.deferred))

    cdef bint is_full(self, Py_ssize_t k) noexcept:
        """Whether rows of array k are behind by as many steps as they may be, and there is one more."""
        return (self.deferred and self.it.work.arrays[k].layout != FO_ABSENT
                and (<History>self.histories[k]).room() == 0)

    cdef int get_ready_to_flush(self) except -1:
        """All that can fail before a step: memory for it in histories. Returns the threads for `flush_before_step`."""
        cdef Py_ssize_t k
        cdef int n_threads = 1
        for k in range(self.it.work.n_arrays):
            if self.covers(k) or self.is_full(k):
                n_threads = max(n_threads, self.threads_to_flush(k))
            elif self.deferred and self.it.work.arrays[k].layout != FO_ABSENT and (
                    self.last_steps[k] is not None or self.missing_steps[k] is not None):
                (<History>self.histories[k]).reserve(1)
        return n_threads

    cdef void flush_before_step(self, int n_threads) noexcept:
        cdef Py_ssize_t k
        for k in range(self.it.work.n_arrays):
            if self.covers(k):
                self.flush_array(k, n_threads)
                self.keep_last_steps(k, None)
            elif self.is_full(k):
                self.flush_array(k, n_threads)

    cdef int keep_missing_steps(self) except -1:
        """From this step on, rows of some parameters are up to date with different steps."""
        cdef Py_ssize_t k
        for k in range(self.it.work.n_arrays):
            if self.missing_steps[k] is not None:
                self.keep_last_steps(k, self.missing_steps[k])
        return 0

    cdef void prepare_apart(self, int64_t t) noexcept:
        """The scalars of a pass that is no step: what steps carry over stays as it is."""
        cdef double[FO_N_CARRIED] carried
        cdef Py_ssize_t k
        for k in range(self.it.n_groups):
            fo_start_carried(self.it.rule, carried)
            fo_prepare_scalars(&self.it, &self.it.groups[k], t, carried)

    cdef int flush(self) except -1:
        """Bring all rows, or their state, up to date over the zero gradients that they have not seen yet."""
        cdef Py_ssize_t k
        cdef int n_threads = 1
        for k in range(self.it.work.n_arrays):
            if self.it.work.arrays[k].last_step != NULL:
                n_threads = max(n_threads, self.threads_to_flush(k))
        for k in range(self.it.work.n_arrays):
            if self.it.work.arrays[k].last_step != NULL:
                self.flush_array(k, n_threads)
        return 0

    cdef int threads_to_flush(self, Py_ssize_t k) except -1:
        """Threads for array k, before anything is written: Python code says how many, in which Ctrl-C may be heard."""
        cdef fo_work alone
        cdef Py_ssize_t[2] first_block
        return self.threads(self.plan_alone(&alone, &self.it.work.arrays[k], first_block, FO_FLUSH))

    cdef void flush_array(self, Py_ssize_t k, int most_threads) noexcept:
        """Bring the rows of array k, or their state, up to date."""
        cdef fo_array *bound = &self.it.work.arrays[k]
        cdef fo_work alone
        cdef Py_ssize_t[2] first_block
        cdef Py_ssize_t nbytes = self.plan_alone(&alone, bound, first_block, FO_FLUSH)
        self.it.groups[bound.group].step.t = self.it.t
        self.run(&alone, FO_FLUSH, nbytes, fo_useful_threads(nbytes, most_threads))
        if self.deferred:
            fo_forget_steps(bound.history)

    cdef int settle(self) except -1:
        """Leave no row behind, until the next sparse step, for other C code that makes steps."""
        if self.deferred:
            self.flush()
            self.forget_steps()
        return 0

    cdef int pin_params(self) except -1:
        """Before parameters are written outside a step; the caller lets go of them."""
        cdef Py_ssize_t k
        self.pin_all()
        for k in range(self.it.work.n_arrays):
            if not is_writeable(<Held>self.held[k]):
                _validation.parameters.refuse_read_only(label("params", self.keys, k))
        return 0

    def _catch_up_all(self):
        """Bring all rows up to date, with deferred steps; the optimizer is claimed."""
        if self.deferred:
            self._flush_claimed()

    def _flush_claimed(self):
        """Bring the state up to date for a caller that has claimed the optimizer."""
        if self.may_be_behind():
            try:
                if self.deferred:
                    self.pin_params()
                self.prepare_apart(self.it.t + 1)
                self.flush()
            finally:
                self.pins.release()

    cdef bint may_be_behind(self) noexcept:
        """Whether there are rows to bring up to date: not so if there was no step since all of them were."""
        cdef Py_ssize_t k
        cdef const fo_array *bound
        for k in range(self.it.work.n_arrays):
            bound = &self.it.work.arrays[k]
            if bound.last_step != NULL and (bound.history == NULL or bound.history.n > 0):
                return True
        return False

    def _catch_up_rows(self, list rows not None):
        """Bring some rows up to date: per parameter the rows, checked, or None. The optimizer is claimed.

        With other settings than sparse="deferred" all are.
        """
        cdef Py_ssize_t k
        cdef int n_threads = 1
        if not self.deferred or not self.may_be_behind():
            return
        room = [None if each is None else np.empty(each.size, np.int64) for each in rows]
        wanted = [k for k in range(self.it.work.n_arrays)
                  if rows[k] is not None and self.it.work.arrays[k].last_step != NULL]
        try:
            self.pin_params()
            for k in wanted:
                n_threads = max(n_threads, self.threads_to_catch_up(k, room[k]))
            for k in wanted:
                self.catch_up_array(k, rows[k], room[k], n_threads)
        finally:
            self.pins.release()

    cdef fo_array with_rows(self, Py_ssize_t k, cnp.ndarray behind) noexcept:
        """Array k, with these rows in place of a gradient."""
        cdef fo_array bound = self.it.work.arrays[k]
        bound.at.index, bound.at.index64, bound.at.width = cnp.PyArray_DATA(behind), 1, bound.row_width
        bound.at.n = cnp.PyArray_SIZE(behind)
        return bound

    cdef int threads_to_catch_up(self, Py_ssize_t k, cnp.ndarray behind) except -1:
        """As `threads_to_flush`, for rows of array k."""
        cdef fo_array bound = self.with_rows(k, behind)
        cdef fo_work alone
        cdef Py_ssize_t[2] first_block
        return self.threads(self.plan_alone(&alone, &bound, first_block, FO_CATCH_UP))

    cdef void catch_up_array(self, Py_ssize_t k, cnp.ndarray index, cnp.ndarray behind, int most_threads) noexcept:
        """Bring rows of array k up to date; `behind` has room for as many."""
        cdef fo_array bound = self.with_rows(k, behind)
        cdef fo_work alone
        cdef Py_ssize_t[2] first_block
        cdef Py_ssize_t nbytes
        bound.at.n = fo_claim_rows(&bound, cnp.PyArray_DATA(index), cnp.PyArray_ITEMSIZE(index) == 8, bound.at.n,
                                   <int64_t *>cnp.PyArray_DATA(behind))
        nbytes = self.plan_alone(&alone, &bound, first_block, FO_CATCH_UP)
        self.run(&alone, FO_CATCH_UP, nbytes, fo_useful_threads(nbytes, most_threads))

    cdef Py_ssize_t plan_alone(self, fo_work *alone, fo_array *array, Py_ssize_t *first_block, int form) noexcept:
        """Lay out a pass over one array that is no step; returns its bytes."""
        alone[0] = self.it.work
        alone.arrays, alone.first_block, alone.n_arrays = array, first_block, 1
        return fo_plan(alone, form)

    cdef int threads(self, Py_ssize_t nbytes) except -1:
        """Threads for one pass: one for small work, without asking what is allowed."""
        cdef int useful = fo_useful_threads(nbytes, INT_MAX)
        return 1 if useful == 1 else max(1, min(useful, <int>self._allowed_threads()))

    cdef void run(self, const fo_work *work, int form, Py_ssize_t nbytes, int n_threads) noexcept:
        if nbytes > NOGIL_BYTES:
            with nogil:
                fo_update(work, self.it.rule, form, self.it.groups, n_threads)
        else:
            fo_update(work, self.it.rule, form, self.it.groups, n_threads)
