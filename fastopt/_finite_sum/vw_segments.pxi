# Part of epochs.pyx: segments of VW.

cdef class VWSegments(SampleSegments):
    """Runs VW over samples of an objective; owns the state."""

    cdef fo_vw it
    cdef readonly dict state

    def __cinit__(self, FiniteSum objective not None, method, Py_ssize_t longest, InterruptPoll poll not None):
        cdef fo_vw *it = &self.it
        cdef cnp.ndarray param = self.param.view
        cdef Py_ssize_t n_features = objective.it.n_features, n_outputs = objective.it.n_outputs
        if objective.it.n_labels != n_outputs or objective.it.linear != NULL:
            raise ValueError("an objective of one margin a label, without a linear part, is needed.")
        self.state = {name: sealed(np.zeros_like(param)) for name in ("accumulator", "scale")}
        self.state |= {name: sealed(np.zeros(n_outputs)) for name in ("weight_sum", "norm_sum")}
        it.poll, it.objective = &poll.it, &objective.it
        it.learning_rate, it.l2, it.l1 = NAN, objective.l2, objective.l1
        it.param, it.accumulator = data_of(param), self.keep_state(self.state["accumulator"])
        it.scale = self.keep_state(self.state["scale"])
        it.weight_sum = <double *>self.keep_state(self.state["weight_sum"])
        it.norm_sum = <double *>self.keep_state(self.state["norm_sum"])
        it.rate_sum = <double *>data_of(self.keep(np.zeros(n_outputs)))
        if objective.l2 or objective.l1:
            it.last_rate_sum = <double *>data_of(self.keep(np.zeros(n_features * n_outputs)))
        it.workspace = data_of(self.keep(np.empty(3 * n_outputs + n_features + 1, param.dtype)))

    def set_learning_rate(self, double learning_rate):
        """Take the rate of the steps to come."""
        self.it.learning_rate = learning_rate

    cdef int begin(self, fo_batch samples, double loss) except -1:
        self.it.samples, self.it.loss = samples, loss
        return 0

    cdef void run_samples(self) noexcept nogil:
        run_vw(&self.it)

    cdef void flush_columns(self) noexcept nogil:
        flush_vw(&self.it)

    cdef tuple reached(self):
        return self.it.n_done, self.it.end

    @property
    def loss(self):
        """What was given plus the losses of the last segment, each before its step."""
        return self.it.loss
