# Part of epochs.pyx: segments of SAGA and SVRG.

cdef class SagaSvrgSegments(SampleSegments):
    """Runs SAGA or SVRG over samples of an objective; owns the gradient memory and its mean gradient."""

    cdef fo_saga_svrg it
    cdef readonly object gradient_memory
    cdef readonly object mean_gradient
    cdef tuple tables
    cdef Py_ssize_t longest

    def __cinit__(self, FiniteSum objective not None, method, Py_ssize_t longest, InterruptPoll poll not None):
        cdef fo_saga_svrg *it = &self.it
        cdef cnp.ndarray param = self.param.view
        self.gradient_memory = sealed(np.zeros((objective.it.n_samples, objective.it.n_outputs), param.dtype))
        self.mean_gradient = sealed(np.zeros_like(param))
        it.poll, it.objective, it.updates_memory = &poll.it, &objective.it, method.updates_memory
        it.learning_rate, it.l2, it.l1 = NAN, objective.l2, objective.l1
        it.param, it.workspace = data_of(param), data_of(self.keep(np.empty(3 * objective.it.n_outputs, param.dtype)))
        it.gradient_memory = self.keep_state(self.gradient_memory)
        it.mean_gradient = self.keep_state(self.mean_gradient)
        it.n_updates = <int32_t *>data_of(self.keep(np.zeros(objective.it.n_features, np.int32)))
        self.set_learning_rate(0.0)

    def set_learning_rate(self, double learning_rate):
        """Take the rate of the steps to come, before the first one or after a flush."""
        if learning_rate != self.it.learning_rate:
            if self.it.n_lagged:
                self.flush()  # with the tables of the former rate
            self.make_tables(1.0 - learning_rate * self.it.l2)
            self.it.learning_rate = learning_rate

    cdef int make_tables(self, double decay_factor) except -1:
        """Powers of what a step leaves of a parameter, and their sums; and whether weights are scaled by them."""
        cdef fo_saga_svrg *it = &self.it
        cdef bint one_output = it.objective.format != FO_DENSE_SAMPLES and it.objective.n_outputs == 1
        cdef bint scales = one_output and it.l1 == 0.0 and decay_factor >= LEAST_SCALED_DECAY
        cdef cnp.ndarray powers, sums, columns = None
        self.longest = self.most
        if scales and decay_factor < 1.0:
            self.longest = min(self.longest, int(log(LEAST_SCALE) / log(decay_factor)))
        powers = np.cumprod(np.concatenate([np.ones(1), np.full(self.longest, decay_factor)]))
        sums = np.concatenate([np.zeros(1), np.cumsum(powers[:self.longest])])
        if scales:
            columns = aligned_workspace(it.objective.n_features * FO_SCALED_COLUMN_BYTES)
        it.weight_scale, it.cumulative_scale = <double *>data_of(powers), <double *>data_of(sums)
        it.scaled_columns = data_of(columns) if scales else NULL
        self.tables = powers, sums, columns
        return 0

    def fill(self, int num_threads):
        """Gradient memory and mean at the present parameters; returns their mean loss."""
        self.check_param()
        loss, gradient = self.objective._evaluate(self.param.view, None, True, num_threads, self.gradient_memory)
        with np.errstate(over="ignore"):
            mean = self.mean_gradient.reshape(-1)
            mean[...] = gradient
            if self.objective.linear_part is not None:
                mean += self.objective.linear_part
        return loss

    cdef Py_ssize_t room(self) except -1:
        if self.it.n_lagged >= self.longest:
            self.flush()
        return self.longest - self.it.n_lagged

    cdef int begin(self, fo_batch samples, double loss) except -1:
        self.it.samples, self.it.loss = samples, loss
        return 0

    cdef void run_samples(self) noexcept nogil:
        run_saga_svrg(&self.it)

    cdef void flush_columns(self) noexcept nogil:
        flush_saga_svrg(&self.it)

    cdef tuple reached(self):
        return self.it.n_done, self.it.end

    @property
    def loss(self):
        """What was given plus the losses of the last segment, each before its step."""
        return self.it.loss
