# Part of epochs.pyx: what segments of all methods that step after each sample have in common.

cdef class SampleSegments:
    """Base of the segments of SAGA, SVRG and VW.

    Parameters
    ----------
    objective : FiniteSum
        With its `l2` and `l1`.
    method : FiniteSumMethod
        Whose `params` are updated.
    longest : int
        Most steps between two flushes.
    poll : InterruptPoll
    """

    cdef FiniteSum objective
    cdef Held param
    cdef list memory
    cdef Py_ssize_t most

    def __cinit__(self, FiniteSum objective not None, method, Py_ssize_t longest, InterruptPoll poll not None):
        objective._check_initialised()
        self.param = Held(method.params)
        _validation.objectives.own_layout(self.param.view, objective.n_parameters, objective.dtype)
        self.objective, self.most, self.memory = objective, longest, [poll]

    cdef cnp.ndarray keep(self, cnp.ndarray array):
        """Let an array live as long as this object."""
        self.memory.append(array)
        return array

    cdef void *keep_state(self, array) except NULL:
        """The same of an array that others see as well, but cannot write or resize: its memory."""
        return data_of(self.keep(base_view(array)))

    cdef Py_ssize_t room(self) except -1:
        """How many steps there may be now, one at least."""
        return self.most

    cdef int begin(self, fo_batch samples, double loss) except -1:
        """Set the samples of a segment."""
        raise NotImplementedError

    cdef void run_samples(self) noexcept nogil:
        pass

    cdef void flush_columns(self) noexcept nogil:
        pass

    cdef tuple reached(self):
        """How many steps the last segment made, and why it ended."""
        raise NotImplementedError

    def run(self, cnp.ndarray order, Py_ssize_t first, Py_ssize_t n_samples, double loss):
        """One step for each sample; returns the number of steps and why it ended. Losses are added to `loss`.

        There may be fewer steps than samples. Columns may lag until the next flush.
        """
        order, pins = batch_order(order, self.objective.n_samples, first, n_samples), Pins()
        self.begin(batch_of(order, first, min(n_samples, self.room())), loss)
        self.check_param()
        self.objective.samples.pin(pins)
        pins.reserve(pins.n + 2)
        pins.add(self.param.view)
        if order is not None:
            pins.add(order)
        try:
            with nogil:
                self.run_samples()
        finally:
            pins.release()
        return self.reached()

    def flush(self):
        """Bring all columns up to date."""
        pins = Pins()
        self.check_param()
        pins.reserve(1)
        pins.add(self.param.view)
        try:
            with nogil:
                self.flush_columns()
        finally:
            pins.release()

    cdef int check_param(self) except -1:
        """Refuse parameters that are no longer what was bound."""
        if not is_unchanged(self.param):
            _validation.parameters.refuse_moved("`params`", "method", self.param.array, self.param.view)
        return 0
