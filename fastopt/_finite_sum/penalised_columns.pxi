# Part of epochs.pyx: how penalties reach columns that no sample of a batch touches, and where these columns lie.

cdef int hyper_index(Engine optimizer, bytes name) except -1:
    """Where a rule keeps a hyper-parameter."""
    cdef int k = 0
    while optimizer.it.rule.hyper[k] != NULL:
        if optimizer.it.rule.hyper[k] == name:
            return k
        k += 1
    raise ValueError(f"the penalty needs a rule with the hyper-parameter {name.decode()}.")


cdef class PenalisedColumns:
    """The tables of a penalty, records, and scaled weights: the base of what runs mini-batches.

    Parameters
    ----------
    objective : FiniteSum
    optimizer : Engine
        Of the objective's parameters alone.
    *others
        Of the class that runs them.
    """

    cdef FiniteSum objective
    cdef Engine optimizer
    cdef fo_segment segment
    cdef fo_penalty penalty
    cdef list memory
    cdef double decay_l2
    cdef object weight_scale, cumulative_penalty
    cdef bint has_tables              # whether the penalty's tables have an entry for each step since the last flush
    cdef bint lags                    # whether there were steps since the last flush
    cdef object left_after, scaled
    cdef fo_records records           # what the segment may use, and the accumulator in it and in its own array
    cdef const void *records_accumulator
    cdef const void *accumulator
    cdef bint records_pay             # whether the steps between the last two flushes were worth the copies
    cdef int64_t began                # the steps made before the first of those since the last flush

    def __cinit__(self, FiniteSum objective not None, Engine optimizer not None, *others):
        objective._check_initialised()
        optimizer.check_initialised()
        if optimizer.it.work.n_arrays != 1:
            raise ValueError("an optimizer of one array is needed.")
        param = (<Held>optimizer.held[0]).view
        _validation.objectives.own_layout(param, objective.n_parameters, objective.dtype)
        self.objective, self.optimizer, self.memory = objective, optimizer, []
        self.segment.objective, self.segment.optimizer = &objective.it, &optimizer.it
        self.segment.penalty = &self.penalty
        self.weight_scale, self.cumulative_penalty = np.ones(1), np.zeros(2)

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
        penalty.spacing = self.segment.records.spacing = 1
        if asked.kind == "closed_form":
            self.segment.l1_at = hyper_index(self.optimizer, b"l1")
            self.segment.l2_at = hyper_index(self.optimizer, b"l2")
        if asked.kind == "flow":
            accumulator = base_view(asked.accumulator)
            _validation.objectives.own_layout(accumulator, array.size, self.objective.dtype)
            self.memory.append(accumulator)
            penalty.accumulator = data_of(accumulator)
            penalty.epsilon, penalty.epsilon_root = asked.epsilon, asked.epsilon_root
        self.has_tables = self.segment.scales or (
            asked.kind in ("proximal", "flow") and not self.segment.dense_steps)
        if self.segment.scales:
            return self.bind_scaled()
        if by_records and self.keeps_records():
            self.bind_records()
        elif self.has_tables or self.lags_in_gradient():
            self.left_after = np.zeros(penalty.n_columns, np.int32)
            penalty.left_after, penalty.left_spacing = <int32_t *>data_of(self.left_after), 1
        return 0

    cdef int bind_scaled(self) except -1:
        """With l1, scaled weights in double: those of float32 would lose digits."""
        self.segment.scaled = self.penalty.param
        if self.penalty.l1 != 0 and self.objective.samples.own.dtype != np.float64:
            self.scaled = np.empty(self.penalty.n_columns * self.penalty.width)
            self.segment.scaled = data_of(self.scaled)
        return 0

    cdef bint worth_scaling(self):
        """Whether batches of one process should be those of SGD on scaled weights.

        Where they have entries in nearly all columns, hardly any lags, and steps without scales are rounded in the
        same way wherever flushes are.
        """
        return self.is_plain_sgd() and self.batch_entries() < self.objective.it.n_features

    cdef bint is_plain_sgd(self):
        """Whether a step is a multiple of the gradient, as those on scaled weights are."""
        return (self.optimizer._penalty == "proximal" and self.optimizer.it.form == 0
                and self.optimizer.it.clip_norm == INFINITY
                and self.optimizer.it.groups[0].step.clip_value == INFINITY
                and self.optimizer.it.groups[0].weight_decay == 0 and self.optimizer.it.sign == 1)

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
        self.left_after = records[: penalty.n_columns, field:].view(np.int32)[:, 0]
        penalty.left_after = <int32_t *>data_of(self.left_after)
        self.records_pay = True
        self.use_records(True)
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

    cdef int use_records(self, bint wanted) except -1:
        """Let steps be made in the records, or in the arrays themselves."""
        self.segment.records = self.records if wanted else fo_records(NULL, 1)
        self.penalty.param = self.records.memory if wanted else self.optimizer.it.work.arrays[0].param
        self.penalty.spacing = self.segment.records.spacing
        self.penalty.left_spacing = cnp.PyArray_STRIDE(<cnp.ndarray>self.left_after, 0) // 4 // self.penalty.spacing
        if self.penalty.accumulator != NULL:
            self.penalty.accumulator = self.records_accumulator if wanted else self.accumulator
        return 0

    cdef double batch_entries(self):
        """Entries of CSR samples in a batch, in the mean."""
        return self.objective.samples.own.nnz / self.objective.it.n_samples * self.segment.batch_size

    cdef Py_ssize_t extend_tables(self, cnp.ndarray rates) except -1:
        """Go on with the tables of the penalty for as many more steps as there may be; returns how many these are."""
        cdef Py_ssize_t known = self.optimizer.it.t - self.penalty.start, n = len(rates), k
        cdef bint flows = self.penalty.kind == FO_FLOW
        cdef double l2 = 0.0 if flows else self.decay_l2, l1 = self.penalty.l1, least = LEAST_SCALE, shrinking
        cdef const double *rate = <const double *>data_of(rates)
        cdef double *scale
        cdef double *cumulative
        if not self.has_tables:
            return n
        self.reserve_tables(known, n)
        scale, cumulative = <double *>self.penalty.weight_scale, <double *>self.penalty.cumulative_penalty
        for k in range(n):
            scale[known + k + 1] = scale[known + k] * (1.0 - rate[k] * l2)
            shrinking = rate[k] if flows else rate[k] * l1 / scale[known + k + 1]
            cumulative[known + k + 1] = cumulative[known + k] + shrinking
            if scale[known + k + 1] < least:
                return k + 1
        return n

    cdef int reserve_tables(self, Py_ssize_t known, Py_ssize_t n) except -1:
        """Room for n more steps in both tables, which keep what is known."""
        cdef Py_ssize_t size = known + n + 1
        if size > len(self.weight_scale):
            scale, cumulative = np.empty(2 * size), np.empty(2 * size + 1)
            scale[: known + 1], cumulative[: known + 2] = (
                self.weight_scale[: known + 1], self.cumulative_penalty[: known + 2])
            self.weight_scale, self.cumulative_penalty = scale, cumulative
        self.penalty.weight_scale = <const double *>data_of(self.weight_scale)
        self.penalty.cumulative_penalty = <const double *>data_of(self.cumulative_penalty) + 1  # see fo_penalty
        return 0
