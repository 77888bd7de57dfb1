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
    cdef History history              # of deferred steps
    cdef cnp.ndarray last_step        # of each column, and the intercepts
    cdef double last_rate
    cdef bint has_tables              # whether the penalty's tables have an entry for each step since the last flush
    cdef bint lags                    # whether there were steps since the last flush
    cdef readonly double loss
    cdef readonly double grad_norm
    cdef object left_after, scaled
    cdef fo_records records           # what the segment may use, and the accumulator in it and in its own array
    cdef const void *records_accumulator
    cdef const void *accumulator
    cdef bint records_pay             # whether the steps between the last two flushes were worth the copies
    cdef int64_t began                # the steps made before the first of those since the last flush

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
        self.bind_penalty(penalty, not (plan.deferred or plan.shared))
        if plan.deferred:
            self.defer()
        self.weight_scale, self.cumulative_penalty = np.ones(1), np.zeros(2)
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

    cdef int bind_penalty(self, asked, bint by_records) except -1:
        cdef fo_penalty *penalty = &self.penalty
        cdef fo_array *array = &self.optimizer.it.work.arrays[0]
        penalty.kind = PENALTIES[asked.kind]
        penalty.n_columns, penalty.width = self.objective.it.n_features, self.objective.it.n_outputs
        penalty.dtype, penalty.param, penalty.start = self.objective.it.dtype, array.param, self.optimizer.it.t
        penalty.spacing, self.segment.records.spacing = penalty.width, 1
        if asked.kind == "closed_form":
            self.segment.l1_at = hyper_index(self.optimizer, b"l1")
            self.segment.l2_at = hyper_index(self.optimizer, b"l2")
        if asked.kind == "flow":
            accumulator = base_view(asked.accumulator)
            _validation.objectives.own_layout(accumulator, array.size, self.objective.dtype)
            self.memory.append(accumulator)
            penalty.accumulator = data_of(accumulator)
            penalty.epsilon, penalty.epsilon_root = asked.epsilon, asked.epsilon_root
        self.has_tables = self.segment.single_sample_sgd or (
            asked.kind in ("proximal", "flow") and not self.segment.dense_steps)
        if self.segment.single_sample_sgd:
            return self.bind_scaled()
        if by_records and self.keeps_records():
            self.bind_records()
        elif self.has_tables or self.lags_in_gradient():
            self.left_after = np.zeros(penalty.n_columns, np.int32)
            penalty.left_after, penalty.left_spacing = <int32_t *>data_of(self.left_after), 1
        return 0

    cdef int bind_scaled(self) except -1:
        """With l1, scaled weights in double: those of float32 would lose digits."""
        self.segment.scaled = <double *>self.penalty.param
        if self.penalty.l1 != 0 and self.objective.samples.own.dtype != np.float64:
            self.scaled = np.empty(self.penalty.n_columns)
            self.segment.scaled = <double *>data_of(self.scaled)
        return 0

    cdef bint lags_in_gradient(self) noexcept:
        return self.penalty.kind == FO_LAGGED_GRADIENT and not self.segment.dense_steps

    cdef bint keeps_records(self):
        """Whether columns lie in records, where their positions fit the type of the indices."""
        cdef fo_array *array = &self.optimizer.it.work.arrays[0]
        cdef bint fits = self.objective.it.format == FO_CSR64 or array.size * self.record_entries() < 2**31
        cdef bint single_entries = self.penalty.width == 1 and not self.optimizer.it.rule.by_rows
        lags = self.penalty.kind != FO_NO_PENALTY and self.is_sparse() and not self.segment.dense_steps
        return lags and fits and single_entries and array.reduced == NULL

    cdef Py_ssize_t record_entries(self) noexcept:
        """Entries of a record and the gap to the next: a power of two, so that small ones lie in one cache line."""
        cdef Py_ssize_t n = 2, entries = 2, k
        for k in range(FO_MAX_SLOTS):
            n += self.optimizer.it.work.arrays[0].state[k] != NULL
        while entries < n:
            entries *= 2
        return entries

    cdef int bind_records(self) except -1:
        """Memory for records, to which the penalty then refers."""
        cdef fo_penalty *penalty = &self.penalty
        cdef fo_array *array = &self.optimizer.it.work.arrays[0]
        cdef Py_ssize_t spacing = self.record_entries(), k, field = 1
        dtype = self.objective.samples.own.dtype
        memory = aligned_workspace(array.size * spacing * dtype.itemsize)
        memory[...] = 0
        self.memory.append(memory)
        records = memory.view(dtype).reshape(array.size, spacing)
        self.records, self.accumulator = fo_records(data_of(memory), spacing), penalty.accumulator
        for k in range(FO_MAX_SLOTS):
            if array.state[k] == NULL:
                continue
            if array.state[k] == penalty.accumulator:
                self.records_accumulator = data_of(records[0, field:])
            field += 1
        self.records_pay = True
        self.use_records(True)
        self.left_after = records[: penalty.n_columns, field:].view(np.int32)[:, 0]
        penalty.left_after = <int32_t *>data_of(self.left_after)
        penalty.left_spacing = spacing * dtype.itemsize // 4
        return 0

    @property
    def last_update(self):
        """For each column the last step, from 0, whose gradient it got; None if nothing depends on it."""
        if self.left_after is None:
            return None
        start = self.penalty.start if self.lags_in_gradient() or self.lags else self.optimizer.it.t
        return self.left_after + np.int64(start - 1)

    @last_update.setter
    def last_update(self, last):
        """Between a flush and the next step. No step is that far back that it could not be counted in 32 bits."""
        self.penalty.start = self.optimizer.it.t
        if self.lags_in_gradient():
            self.left_after[...] = np.maximum(last + 1 - self.optimizer.it.t, np.iinfo(np.int32).min)

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
        """Whether SGD on scaled weights will do. With l1, dense samples would lose time."""
        cdef bint l1_will_do = self.penalty.l1 == 0 or self.is_sparse()
        return (self.optimizer._penalty == "proximal" and self.optimizer.it.form == 0 and self.segment.batch_size == 1
                and self.objective.it.n_outputs == 1 and l1_will_do
                and self.optimizer.it.clip_norm == INFINITY
                and self.optimizer.it.groups[0].step.clip_value == INFINITY
                and self.optimizer.it.groups[0].weight_decay == 0 and self.optimizer.it.sign == 1
                and self.optimizer.it.nonfinite == FO_RAISE)

    cdef double batch_entries(self):
        """Entries of CSR samples in a batch, in the mean."""
        return self.objective.samples.own.nnz / self.objective.it.n_samples * self.segment.batch_size

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
            if begins and self.history is not None:
                forget_steps(&self.history.it)
                self.last_step[...] = self.history.it.start
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

    cdef int use_records(self, bint wanted) except -1:
        """Let steps be made in the records, or in the arrays themselves."""
        self.segment.records = self.records if wanted else fo_records(NULL, 1)
        self.penalty.param = self.records.memory if wanted else self.optimizer.it.work.arrays[0].param
        self.penalty.spacing = self.segment.records.spacing
        if self.penalty.accumulator != NULL:
            self.penalty.accumulator = self.records_accumulator if wanted else self.accumulator
        return 0

    cdef int begin_tables(self, int64_t t, int num_threads) except -1:
        """Let the tables begin at the step t if all columns are up to date, or should be. Returns whether they are."""
        cdef Py_ssize_t known = t - self.penalty.start
        cdef bint begins
        if self.lags and self.has_tables and (self.weight_scale[known] < LEAST_SCALE or known > MOST_KNOWN):
            self.flush_pinned(t, num_threads)
        begins, self.lags = not self.lags, True
        if begins and self.records.memory:
            self.use_records(self.records_pay)
            self.began = t
        if begins and self.scaled is not None:
            self.scaled[...] = (<Held>self.optimizer.held[0]).view.reshape(-1)[: self.penalty.n_columns]
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

    cdef Py_ssize_t extend_tables(self, rates) except -1:
        """Go on with the tables of the penalty for as many more steps as there may be; returns how many these are."""
        cdef Py_ssize_t known = self.optimizer.it.t - self.penalty.start
        if not self.has_tables:
            return len(rates)
        scale, penalty = self.next_entries(rates, self.weight_scale[known], self.cumulative_penalty[known + 1])
        cdef Py_ssize_t n = len(scale) - 1, size = known + n + 1
        if size > len(self.weight_scale):
            self.weight_scale = np.resize(self.weight_scale, 2 * size)
            self.cumulative_penalty = np.resize(self.cumulative_penalty, 2 * size + 1)
        self.weight_scale[known:size] = scale
        self.cumulative_penalty[known + 1 : size + 1] = penalty  # after an entry of 0: see fo_penalty
        self.penalty.weight_scale = <const double *>data_of(self.weight_scale)
        self.penalty.cumulative_penalty = <const double *>data_of(self.cumulative_penalty) + 1
        return n

    cdef tuple next_entries(self, rates, double scale, double penalty):
        """The entries of both tables before the first of these steps, which are given, and after each."""
        kind, start = self.penalty.kind, np.full(1, penalty)
        if kind == FO_FLOW:
            return np.ones(len(rates) + 1), np.cumsum(np.concatenate([start, rates]))
        decay = np.cumprod(np.concatenate([np.full(1, scale), 1.0 - rates * self.decay_l2]))
        n = len(rates)
        if decay.min() < LEAST_SCALE:
            n = max(1, int(np.searchsorted(-decay, -LEAST_SCALE, side="right")))
        shrinking = rates[:n] * self.penalty.l1 / decay[1 : n + 1]
        return decay[: n + 1], np.cumsum(np.concatenate([start, shrinking]))

    def skip(self):
        """Count the batch that ended a segment as left out."""
        self.optimizer.skip()
