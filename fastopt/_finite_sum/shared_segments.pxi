# Part of epochs.pyx: mini-batches whose samples several processes have.

cdef class SharedSegments(MinibatchSegments):
    """Mini-batches, each of which is begun, evaluated in parts, and ended by a step with the sum of all parts.

    Parameters are those of MinibatchSegments; `plan.most_entries` is at least the number of columns.
    """

    cdef cnp.ndarray rates
    cdef cnp.ndarray place            # of each column of all parts

    cdef int pin_run(self) except -1:
        """Keep what C reads and writes where it is."""
        self.objective.samples.pin(self.optimizer.pins)
        self.optimizer.pin_all()
        return 0

    def begin(self, rates, int num_threads):
        """Begin a batch, given the learning rates of the step before and of its own."""
        cdef fo_segment *it = &self.segment
        cdef Engine engine = self.optimizer
        self.rates = np.array(rates, np.float64)
        if cnp.PyArray_SIZE(self.rates) != 2:
            raise ValueError(f"two learning rates are needed, got {self.rates}.")
        engine.acquire("minimize()")
        try:
            self.pin_run()
            engine.settle()
            self.begin_tables(engine.it.t, max(num_threads, 1))
            self.extend_tables(self.rates[1:])
            if self.history is not None:
                self.history.reserve(1)
            it.n_batches, it.pipelined, it.num_threads = 1, False, max(num_threads, 1)
            it.learning_rate = <const double *>data_of(self.rates)
            with nogil:
                start_worker(it, self.workers)
        finally:
            engine.let_go()
            engine.release()

    def part(self, cnp.ndarray order, Py_ssize_t first, Py_ssize_t n, Py_ssize_t n_mean):
        """The share that the samples [first, first + n) of an order have in a mean over n_mean samples.

        Returns their loss, and the gradient: of CSR samples its columns, that of the intercepts last, and a row for
        each; of others None and all of it. Both are None if the loss is not finite.
        """
        cdef fo_segment *it = &self.segment
        cdef Engine engine = self.optimizer
        cdef double loss
        order = batch_order(order, self.objective.n_samples, first, n)
        if n < 1 or n > it.batch_size or n_mean < n:
            raise ValueError(f"1 to {it.batch_size} samples of all are needed, got {n} of {n_mean}.")
        engine.acquire("minimize()")
        try:
            self.pin_run()
            if order is not None:
                engine.pin(order)
            it.samples = batch_of(order, first, n)
            with nogil:
                loss = part_gradient(it, self.workers, n_mean)
            if not isfinite(loss):
                return loss, None, None
            return loss, self.touched_columns(), self.gradient()
        finally:
            engine.let_go()
            engine.release()

    cdef object touched_columns(self):
        """A copy of the columns of the last part; None of samples that are not CSR."""
        cdef fo_touched *touched = &self.workers[0].touched[0]
        cdef int kind = cnp.NPY_INT64 if self.objective.it.format == FO_CSR64 else cnp.NPY_INT32
        if not self.is_sparse():
            return None
        return copied(touched.columns, touched.n + self.objective.it.intercept, kind)

    cdef cnp.ndarray gradient(self):
        """A copy of the gradient of the last part."""
        cdef Py_ssize_t n = self.optimizer.it.work.arrays[0].size
        if self.is_sparse():
            n = (self.workers[0].touched[0].n + self.objective.it.intercept) * self.objective.it.n_outputs
        return copied(self.workers[0].gradient, n, np.dtype(self.objective.dtype).num)

    def step(self, columns, cnp.ndarray gradient not None, Py_ssize_t n_mean, double mean, double loss):
        """End the batch with a step, given what `part` has returned for all parts, joined in their order.

        Of samples that are not CSR the gradient is the sum of all. `mean` is the loss of the batch, whose samples are
        added to the `loss` of those before. Returns whether the step was made, and else why not.
        """
        cdef fo_segment *it = &self.segment
        cdef Engine engine = self.optimizer
        cdef fo_worker *worker = self.workers
        cdef fo_part_gradients given
        cdef int64_t start = engine.it.t
        cdef bint sparse = self.is_sparse()
        if sparse:
            columns = self.bind_parts(columns, gradient, &given)
        else:
            _validation.objectives.own_layout(gradient, engine.it.work.arrays[0].size, self.objective.dtype)
        engine.acquire("minimize()")
        try:
            self.pin_run()
            engine.pin(gradient)
            if sparse:
                engine.pin(columns)
            else:
                memcpy(worker.gradient, cnp.PyArray_DATA(gradient), cnp.PyArray_NBYTES(gradient))
            worker.loss = loss
            with nogil:
                if sparse:
                    add_parts(it, worker, &given)
                step_shared(it, worker, n_mean, mean)
            self.take_over(self.rates, start, worker.n_done, 0)
            self.last_rate = self.rates[worker.n_done]
            if worker.end:
                self.flush_pinned(start + worker.n_done, it.num_threads)
        finally:
            engine.let_go()
            engine.release()
        return worker.n_done, worker.end

    cdef cnp.ndarray bind_parts(self, columns, cnp.ndarray rows, fo_part_gradients *given):
        """Take the gradients of all parts of CSR samples; returns the columns as C reads them."""
        cdef Py_ssize_t n_columns = self.objective.it.n_features + self.objective.it.intercept
        index_dtype = np.int64 if self.objective.it.format == FO_CSR64 else np.int32
        cdef cnp.ndarray own = np.ascontiguousarray(columns, index_dtype)
        given.n = cnp.PyArray_SIZE(own)
        _validation.objectives.own_layout(rows, given.n * self.objective.it.n_outputs, self.objective.dtype)
        if given.n and own.view(f"u{own.itemsize}").max() >= n_columns:  # those below 0 are large then: one pass
            raise IndexError(f"columns in [0, {n_columns}) are needed, got {own.min()} to {own.max()}.")
        if self.place is None or cnp.PyArray_SIZE(self.place) < given.n:
            self.place = np.empty(2 * given.n, np.int32)
        given.columns, given.rows = data_of(own), cnp.PyArray_DATA(rows)
        given.place = <int32_t *>data_of(self.place)
        return own


cdef cnp.ndarray copied(void *data, Py_ssize_t n, int kind):
    """A copy of n entries of a kind of NumPy's."""
    cdef cnp.npy_intp shape = n
    cdef cnp.ndarray array = cnp.PyArray_EMPTY(1, &shape, kind, 0)
    memcpy(cnp.PyArray_DATA(array), data, cnp.PyArray_NBYTES(array))
    return array
