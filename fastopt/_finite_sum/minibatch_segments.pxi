# Part of epochs.pyx: segments of mini-batches, whose steps are those of an optimizer.

cdef int hyper_index(Engine optimizer, bytes name) except -1:
    """Where a rule keeps a hyper-parameter."""
    cdef int k = 0
    while optimizer.it.rule.hyper[k] != NULL:
        if optimizer.it.rule.hyper[k] == name:
            return k
        k += 1
    raise ValueError(f"the penalty needs a rule with the hyper-parameter {name.decode()}.")


cdef class MinibatchSegments:
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

    cdef FiniteSum objective
    cdef Engine optimizer
    cdef fo_segment segment
    cdef fo_penalty penalty
    cdef fo_worker *workers
    cdef list memory
    cdef double decay_l2
    cdef object weight_scale, cumulative_penalty
    cdef double last_rate
    cdef bint lags                    # whether there were steps since the last flush
    cdef readonly double loss
    cdef readonly double grad_norm
    cdef readonly object last_update

    def __dealloc__(self):
        PyMem_Free(self.workers)

    def __cinit__(self, FiniteSum objective not None, Engine optimizer not None, plan, penalty,
                  InterruptPoll poll not None):
        cdef fo_segment *segment = &self.segment
        cdef bint proximal = penalty.kind == "proximal"
        objective._check_initialised()
        optimizer.check_initialised()
        if optimizer.it.work.n_arrays != 1:
            raise ValueError("an optimizer of one array is needed.")
        if plan.n_workers < 1 or plan.batch_size < 1 or plan.most_entries < 0:
            raise ValueError(f"a plan with workers and samples is needed, got {plan}.")
        param = (<Held>optimizer.held[0]).view
        _validation.objectives.own_layout(param, objective.n_parameters, objective.dtype)
        self.objective, self.optimizer, self.memory = objective, optimizer, [poll]
        segment.poll = &poll.it if plan.n_workers == 1 else NULL
        segment.objective, segment.optimizer, segment.penalty = &objective.it, &optimizer.it, &self.penalty
        segment.batch_size, segment.n_workers = plan.batch_size, plan.n_workers
        self.penalty.l2, self.penalty.l1 = penalty.l2, penalty.l1 * (penalty.step_gain if proximal else 1.0)
        self.decay_l2 = penalty.l2 * penalty.step_gain
        segment.single_sample_sgd = not (plan.dense_steps or plan.shared) and self.is_single_sample_sgd()
        segment.dense_steps = plan.dense_steps or not (self.is_sparse() or segment.single_sample_sgd)
        self.bind_penalty(penalty)
        self.weight_scale, self.cumulative_penalty = np.ones(1), np.zeros(1)
        self.workers = <fo_worker *>PyMem_Calloc(plan.n_workers, sizeof(fo_worker))
        if self.workers == NULL:
            raise MemoryError()
        for k in range(plan.n_workers):
            self.allocate_worker(&self.workers[k], plan.most_entries)

    cdef bint is_sparse(self) noexcept:
        return self.objective.it.format != FO_DENSE_SAMPLES

    cdef void *allocate(self, Py_ssize_t n, dtype, bint zeros=False) except NULL:
        """Memory that lives as long as this object; one entry at least."""
        array = (np.zeros if zeros else np.empty)(max(n, 1), dtype)
        self.memory.append(array)
        return cnp.PyArray_DATA(<cnp.ndarray>array)

    cdef int bind_penalty(self, asked) except -1:
        cdef fo_penalty *penalty = &self.penalty
        penalty.kind = PENALTIES[asked.kind]
        penalty.n_columns, penalty.width = self.objective.it.n_features, self.objective.it.n_outputs
        penalty.dtype, penalty.param = self.objective.it.dtype, self.optimizer.it.work.arrays[0].param
        if asked.kind == "closed_form":
            self.segment.l1_at = hyper_index(self.optimizer, b"l1")
            self.segment.l2_at = hyper_index(self.optimizer, b"l2")
        if asked.kind == "flow":
            accumulator = base_view(asked.accumulator)
            _validation.objectives.own_layout(accumulator, self.optimizer.it.work.arrays[0].size, self.objective.dtype)
            self.memory.append(accumulator)
            penalty.accumulator = data_of(accumulator)
            penalty.epsilon, penalty.epsilon_root = asked.epsilon, asked.epsilon_root
        if asked.kind in ("proximal", "flow", "lagged_gradient") and not self.segment.dense_steps:
            self.last_update = sealed(np.full(penalty.n_columns, self.optimizer.it.t - 1, np.int64))
            self.memory.append(base_view(self.last_update))
            penalty.last_update = <int64_t *>data_of(self.last_update)
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
            worker.touched[k].columns = self.allocate(n_columns, index_dtype)
            worker.touched[k].place = <int32_t *>self.allocate(most_entries, np.int32)
        worker.gathered = self.allocate(n_columns * n_outputs, dtype)
        worker.gradient = self.allocate(n_columns * n_outputs, dtype)
        if self.segment.dense_steps:
            worker.expanded = self.allocate(size, dtype)
        largest = self.optimizer.it.work.arrays[0]
        largest.at.n = n_columns
        if n_outputs == 1 and partition_workspace(&largest):
            worker.workspace = self.allocate(partition_workspace(&largest) // 8 + 1, np.float64)
        return 0

    cdef bint is_single_sample_sgd(self):
        """Whether SGD on scaled weights will do. With l1, float32 would lose digits, and dense samples time."""
        cdef bint exact = self.is_sparse() and self.objective.samples.own.dtype == np.float64
        cdef bint l1_will_do = self.penalty.l1 == 0 or exact
        return (self.optimizer._penalty == "proximal" and self.optimizer.it.form == 0 and self.segment.batch_size == 1
                and self.objective.it.n_outputs == 1 and l1_will_do
                and self.optimizer.it.clip_norm == INFINITY
                and self.optimizer.it.groups[0].step.clip_value == INFINITY
                and self.optimizer.it.groups[0].weight_decay == 0 and self.optimizer.it.sign == 1
                and self.optimizer.it.nonfinite == FO_RAISE)

    cdef bint worth_pipelining(self, int num_threads):
        """Whether a second thread should collect the columns of the next batch."""
        cdef fo_segment *it = &self.segment
        if num_threads == 1 or it.n_workers > 1 or it.single_sample_sgd or it.dense_steps or not self.is_sparse():
            return False
        return self.objective.samples.own.nnz / self.objective.it.n_samples * it.batch_size >= PIPELINE_ENTRIES

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
        cdef int end = 0, k
        order = batch_order(order, self.objective.n_samples, first, n_samples)
        rates, num_threads = base_view(np.ascontiguousarray(rates, np.float64)), max(num_threads, 1)
        engine.acquire("minimize()")          # a callback may have handed the optimizer to another thread
        try:
            self.objective.samples.pin(engine.pins)
            engine.pin_all()
            engine.pin(rates)
            if order is not None:
                engine.pin(order)
            start = engine.it.t
            if self.lags and self.weight_scale[start - self.penalty.start] < LEAST_SCALE:
                self.flush_pinned(start, num_threads)
            if not self.lags:
                self.penalty.start, self.lags = start, True
            n_batches = self.extend_tables(rates[1:])
            it.samples = batch_of(order, first, min(n_samples, n_batches * it.batch_size))
            it.n_batches, it.loss = n_batches, loss
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
        if t != self.optimizer.it.t and self.last_update is not None:
            self.last_update[...] = self.optimizer.it.t - 1
        return 0

    cdef int take_over(self, cnp.ndarray rates, int64_t start, Py_ssize_t n_done, Py_ssize_t n_skipped) except -1:
        """What the workers leave behind, into the optimizer."""
        cdef Engine engine = self.optimizer
        cdef Py_ssize_t k, last = (self.segment.n_batches - 1) % self.segment.n_workers
        self.loss = sum([self.workers[k].loss for k in range(self.segment.n_workers)])
        self.grad_norm = self.workers[last].squared_norm ** 0.5
        engine.it.t = start + n_done
        engine.skipped += n_skipped
        if n_done:
            engine.last_rate = rates[n_done]
        if not self.segment.single_sample_sgd:
            engine.it.norm = self.workers[last].optimizer.norm
            if self.segment.n_workers == 1:
                engine.it.groups[0].carried = self.workers[0].group.carried
            elif carries(&engine.it):  # none of the workers has made the last step for certain
                for k in range(n_done):
                    engine.it.groups[0].learning_rate = rates[k + 1]
                    prepare_scalars(&engine.it, &engine.it.groups[0], start + k + 1, engine.it.groups[0].carried)
        return 0

    cdef Py_ssize_t extend_tables(self, rates) except -1:
        """Go on with the tables of the penalty for as many more steps as there may be; returns how many these are."""
        cdef Py_ssize_t known = self.optimizer.it.t - self.penalty.start
        scale, penalty = self.next_entries(rates, self.weight_scale[known], self.cumulative_penalty[known])
        cdef Py_ssize_t n = len(scale) - 1, size = known + n + 1
        if size > len(self.weight_scale):
            self.weight_scale = np.resize(self.weight_scale, 2 * size)
            self.cumulative_penalty = np.resize(self.cumulative_penalty, 2 * size)
        self.weight_scale[known:size] = scale
        self.cumulative_penalty[known:size] = penalty
        self.penalty.weight_scale = <const double *>data_of(self.weight_scale)
        self.penalty.cumulative_penalty = <const double *>data_of(self.cumulative_penalty)
        return n

    cdef tuple next_entries(self, rates, double scale, double penalty):
        """The entries of both tables before the first of these steps, which are given, and after each."""
        kind, start = self.penalty.kind, np.full(1, penalty)
        if kind == FO_FLOW:
            return np.ones(len(rates) + 1), np.cumsum(np.concatenate([start, rates]))
        if kind != FO_PROXIMAL or self.segment.dense_steps:
            return np.ones(len(rates) + 1), np.zeros(len(rates) + 1)
        decay = np.cumprod(np.concatenate([np.full(1, scale), 1.0 - rates * self.decay_l2]))
        n = len(rates)
        if decay.min() < LEAST_SCALE:
            n = max(1, int(np.searchsorted(-decay, -LEAST_SCALE, side="right")))
        shrinking = rates[:n] * self.penalty.l1 / decay[1 : n + 1]
        return decay[: n + 1], np.cumsum(np.concatenate([start, shrinking]))

    def skip(self):
        """Count the batch that ended a segment as left out."""
        self.optimizer.skipped += 1
