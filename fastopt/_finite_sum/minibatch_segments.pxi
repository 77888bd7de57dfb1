# Part of epochs.pyx: segments of mini-batches, whose steps are those of an optimizer.

cdef class MinibatchSegments(PenalisedColumns):
    """Runs mini-batches of an objective through an optimizer.

    Parameters
    ----------
    objective : FiniteSum
    optimizer : Engine
        Of the objective's parameters alone.
    plan : Plan
    penalty : Penalty
    poll : InterruptPoll
    """

    cdef fo_worker *workers
    cdef History history              # of deferred steps
    cdef cnp.ndarray last_step        # of each column, and the intercepts
    cdef double last_rate
    cdef readonly double loss
    cdef readonly double grad_norm

    def __dealloc__(self):
        PyMem_Free(self.workers)

    def __cinit__(self, FiniteSum objective not None, Engine optimizer not None, plan, penalty,
                  InterruptPoll poll not None):
        cdef fo_segment *segment = &self.segment
        cdef bint proximal = penalty.kind == "proximal"
        if plan.n_workers < 1 or plan.batch_size < 1 or plan.most_entries < 0:
            raise ValueError(f"a plan with workers and samples is needed, got {plan}.")
        self.memory.append(poll)
        segment.poll = &poll.it if plan.n_workers == 1 else NULL
        segment.batch_size, segment.n_workers = plan.batch_size, plan.n_workers
        self.penalty.l2, self.penalty.l1 = penalty.l2, penalty.l1 * (penalty.step_gain if proximal else 1.0)
        self.decay_l2 = penalty.l2 * penalty.step_gain
        segment.single_sample_sgd = not (plan.dense_steps or plan.shared) and self.is_single_sample_sgd()
        segment.dense_steps = plan.dense_steps or not (
            self.is_sparse() or (segment.single_sample_sgd and self.penalty.l1 == 0))
        segment.scales = not segment.dense_steps and (segment.single_sample_sgd or (
            penalty.kind == "proximal" and not plan.shared and self.worth_scaling()))
        self.bind_penalty(penalty, not (plan.deferred or plan.shared))
        if plan.deferred:
            self.defer()
        self.workers = <fo_worker *>PyMem_Calloc(plan.n_workers, sizeof(fo_worker))
        if self.workers == NULL:
            raise MemoryError()
        for k in range(plan.n_workers):
            self.allocate_worker(&self.workers[k], plan.most_entries)

    cdef int defer(self) except -1:
        """Let columns that no sample of a batch touches catch up later."""
        self.history = History()
        self.history.bind(self.objective.it.dtype, self.objective.it.n_features + 1, self.optimizer.it.rule,
                          self.optimizer.it.form)
        self.last_step = sealed(np.zeros(self.objective.it.n_features + 1, np.int64))
        self.segment.history = &self.history.it
        self.segment.last_step = <int64_t *>data_of(self.last_step)
        return 0

    cdef int allocate_worker(self, fo_worker *worker, Py_ssize_t most_entries) except -1:
        """Memory for the largest batch."""
        cdef Py_ssize_t n_outputs = self.objective.it.n_outputs, n_features = self.objective.it.n_features
        cdef Py_ssize_t n_samples = self.segment.batch_size, size = self.optimizer.it.work.arrays[0].size
        cdef Py_ssize_t n_labels, n_columns = min(most_entries, n_features) + 1
        cdef fo_array largest
        if n_columns > FO_MOST_COLUMNS:
            _validation.sparse_gradients.refuse_batch(n_samples, FO_MOST_COLUMNS)
        dtype = self.objective.samples.own.dtype
        index_dtype = np.int64 if self.objective.it.format == FO_CSR64 else np.int32
        worker.derivative = self.allocate(n_samples * n_outputs, dtype)
        n_labels = n_samples * self.objective.it.n_labels
        worker.label, worker.weight = self.allocate(n_labels, dtype), self.allocate(n_labels, dtype)
        worker.partial = <fo_sums *>self.allocate((FO_MAX_CHUNKS + 1) * sizeof(fo_sums), np.uint8)
        if not self.is_sparse():
            worker.gradient = self.allocate(size, dtype)
            return 0
        worker.seen.place, worker.seen.base = <int32_t *>self.allocate(n_features, np.int32, True), 1
        for k in range(1 if self.segment.n_workers > 1 else 2):
            worker.touched[k].columns = worker.touched[k].positions = self.allocate(n_columns, index_dtype)
            if self.records.memory:
                worker.touched[k].positions = self.allocate(n_columns, index_dtype)
            worker.touched[k].place = <int32_t *>self.allocate(most_entries, np.int32)
        worker.gathered = self.allocate(n_columns * n_outputs, np.float64 if self.segment.single_sample_sgd else dtype)
        if self.lags_in_gradient():
            worker.left = <int32_t *>self.allocate(n_columns, np.int32)
        worker.gradient = self.allocate(n_columns * n_outputs, dtype)
        if self.segment.dense_steps:
            worker.expanded = self.allocate(size, dtype)
        largest = self.optimizer.it.work.arrays[0]
        largest.at.n = n_columns
        largest.size *= self.segment.records.spacing
        if n_outputs == 1 and partition_workspace(&largest):
            worker.workspace = self.allocate(partition_workspace(&largest) // 8 + 1, np.float64)
        return 0

    cdef bint is_single_sample_sgd(self):
        """Whether the loop over single samples will do."""
        return (self.is_plain_sgd() and self.segment.batch_size == 1
                and self.optimizer.it.nonfinite == FO_RAISE)

    cdef bint worth_pipelining(self, int num_threads):
        """Whether a second thread should collect the columns of the next batch."""
        cdef fo_segment *it = &self.segment
        if num_threads == 1 or it.n_workers > 1 or it.single_sample_sgd or it.dense_steps or not self.is_sparse():
            return False
        return self.batch_entries() >= PIPELINE_ENTRIES

    def run(self, cnp.ndarray order, Py_ssize_t first, Py_ssize_t n_samples, cnp.ndarray rates not None,
            int num_threads, double loss):
        """Run the batches of samples [first, first + n_samples) of an order; columns may lag until the next flush.

        Returns how many were run and how many left out, and why it ended.

        `rates` has the learning rate of the step before, and that of each batch. The segment may be shorter than
        asked for. Afterwards `loss` is what was given plus the losses, and `grad_norm` that of the last batch.
        """
        cdef fo_segment *it = &self.segment
        cdef Engine engine = self.optimizer
        cdef int64_t start
        cdef Py_ssize_t n_batches, n_done = 0, n_skipped = 0, reached = 0, n_passed
        cdef int end = 0, k, begins
        order = batch_order(order, self.objective.n_samples, first, n_samples)
        rates, num_threads = base_view(np.ascontiguousarray(rates, np.float64)), max(num_threads, 1)
        engine.acquire("minimize()")          # a callback may have handed the optimizer to another thread
        try:
            self.objective.samples.pin(engine.pins)
            engine.pin_all()
            engine.pin(rates)
            if order is not None:
                engine.pin(order)
            engine.settle()
            start = engine.it.t
            begins = self.begin_tables(start, num_threads)
            n_batches = self.extend_tables(rates[1:])
            if self.history is not None:
                self.history.reserve(n_batches)
            it.samples = batch_of(order, first, min(n_samples, n_batches * it.batch_size))
            it.n_batches, it.loss, it.loads_records = n_batches, loss, begins
            it.pipelined = self.worth_pipelining(num_threads)
            it.num_threads = 1 if it.pipelined or it.n_workers > 1 else num_threads
            it.learning_rate = <const double *>cnp.PyArray_DATA(rates)
            with nogil:
                run_segment(it, self.workers)
                for k in range(it.n_workers):
                    n_passed = self.workers[k].n_done + self.workers[k].n_skipped
                    reached = max(reached, k + (n_passed - 1) * it.n_workers + 1 if n_passed else 0)
                    n_done += self.workers[k].n_done
                    n_skipped += self.workers[k].n_skipped
                    end = end or self.workers[k].end
            self.take_over(rates, start, n_done, n_skipped)
            self.last_rate = rates[reached]
            if end or n_skipped:      # batches that were left out are no steps, but lock-free ones are in the tables
                self.flush_pinned(start + reached, num_threads)
        finally:
            engine.let_go()
            engine.release()
        return n_done, n_skipped, end

    def flush(self, int num_threads):
        """Bring all columns up to date."""
        cdef Engine engine = self.optimizer
        if not self.lags:
            return
        engine.acquire("minimize()")
        try:
            engine.pin_all()
            self.flush_pinned(engine.it.t, max(num_threads, 1))
        finally:
            engine.let_go()
            engine.release()

    cdef int flush_pinned(self, int64_t t, int num_threads) except -1:
        """The same, for the steps before t."""
        cdef fo_segment *it = &self.segment
        it.learning_rate = &self.last_rate
        with nogil:
            flush(it, &self.workers[0], t, num_threads)
        self.lags = False
        if self.records.memory:
            self.records_pay = (t - self.began) * self.batch_entries() >= self.penalty.n_columns
        if t != self.optimizer.it.t and self.lags_in_gradient():
            self.left_after[...] = self.optimizer.it.t - self.penalty.start
        return 0

    cdef int begin_tables(self, int64_t t, int num_threads) except -1:
        """Let the tables begin at the step t if all columns are up to date, or should be. Returns whether they are."""
        cdef Py_ssize_t known = t - self.penalty.start
        cdef bint begins
        if self.lags and self.has_tables and (self.weight_scale[known] < LEAST_SCALE or known > MOST_KNOWN):
            self.flush_pinned(t, num_threads)
        begins, self.lags = not self.lags, True
        if begins and self.history is not None:
            forget_steps(&self.history.it)
            self.last_step[...] = self.history.it.start
        if begins and self.records.memory:
            self.use_records(self.records_pay)
            self.began = t
        if begins and self.scaled is not None:
            self.scaled[...] = (<Held>self.optimizer.held[0]).view.reshape(-1)[: self.scaled.size]
        if self.lags_in_gradient() and known > MOST_KNOWN:
            self.last_update = self.last_update
        elif begins and not self.lags_in_gradient():
            self.penalty.start = t
        return begins

    cdef int take_over(self, cnp.ndarray rates, int64_t start, Py_ssize_t n_done, Py_ssize_t n_skipped) except -1:
        """What the workers leave behind, into the optimizer."""
        cdef Engine engine = self.optimizer
        cdef Py_ssize_t k, last = (self.segment.n_batches - 1) % self.segment.n_workers
        cdef double norm, rate
        cdef double[FO_N_CARRIED] carried
        self.loss = sum([self.workers[k].loss for k in range(self.segment.n_workers)])
        self.grad_norm = self.workers[last].squared_norm ** 0.5
        norm = engine.it.norm if self.segment.single_sample_sgd else self.workers[last].optimizer.norm
        rate = rates[n_done] if n_done else engine.last_rate
        engine.show(start + n_done, engine.skipped + n_skipped, norm, rate)
        if self.segment.single_sample_sgd:
            return 0
        carried = engine.it.groups[0].carried
        if self.segment.n_workers == 1:
            carried = self.workers[0].group.carried
        elif carries(&engine.it):  # none of the workers has made the last step for certain
            for k in range(n_done):
                engine.it.groups[0].learning_rate = rates[k + 1]
                prepare_scalars(&engine.it, &engine.it.groups[0], start + k + 1, carried)
        engine.show_carried(0, carried)
        return 0

    def skip(self):
        """Count the batch that ended a segment as left out."""
        self.optimizer.skip()
