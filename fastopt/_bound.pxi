# Part of _core.pyx: the arrays of the caller as C sees them. Parameters and state are bound once, gradients every step.

# From this share of touched entries on, a dense pass over a parameter that zero gradients leave alone is faster
# than single entries at known places (docs/performance/README.md).
cdef double DENSE_SHARE = 0.2

# The module of sparse gradients, which is a layer above; its import fills this in.
cdef object sparse_gradients = None


def use_sparse_gradients(module):
    """Take the functions of a module for sparse gradients."""
    global sparse_gradients
    sparse_gradients = module


cdef inline bint fits(cnp.ndarray g, Held held) noexcept:
    """Whether a dense gradient can be used as it is, and its parameter be updated."""
    return (cnp.PyArray_TYPE(g) == cnp.PyArray_TYPE(held.view) and is_behaved(g)
            and cnp.PyArray_SAMESHAPE(g, held.view) and is_writeable(held))


cdef inline bint is_writeable(Held held) noexcept:
    return has_flags(<cnp.ndarray>held.array, cnp.NPY_ARRAY_WRITEABLE)


cdef void *state_data(cnp.ndarray state, cnp.ndarray param, fo_per per, object storage) except? NULL:
    """The memory of a state array, which has numbers for entries, rows, columns or the whole of its parameter."""
    shape, dtype = slot_layout(param, PER[per], storage)
    if not (is_sealed(state) and cnp.PyArray_ISCARRAY(state) and (<object>state).shape == shape
            and (<object>state).dtype == dtype):
        raise ValueError("state arrays that go with the parameters are needed, got others.")
    return cnp.PyArray_DATA(state)


cdef bint has_slot(const fo_array *array, Py_ssize_t slot) noexcept:
    is_reduced = array.reduced != NULL and array.reduced.codes[slot].storage != FO_AS_PARAMETER
    return is_reduced or array.state[slot] != NULL


cdef void *zeroed(size_t nbytes) except NULL:
    memory = PyMem_Calloc(nbytes, 1)
    if not memory:
        raise MemoryError()
    return memory


cdef class Bound:
    """Binds parameters and state to a rule, and the gradients of a step to the parameters; nothing is written to any.

    A step runs the caller's code first (`taken`: sparse matrices and subclasses may have methods of their own), then
    pins and checks what is left of the gradients, plain arrays; so C finds what was checked.

    The subclass gives `_allowed_threads()`.
    """

    def __cinit__(self):
        self.it.work.n_arrays = 0
        self.pins = Pins()

    def __dealloc__(self):
        PyMem_Free(self.it.work.arrays)
        PyMem_Free(self.it.work.first_block)
        PyMem_Free(self.it.lines)
        PyMem_Free(self.it.orthogonal)
        PyMem_Free(self.it.partial)
        PyMem_Free(self.own_of_arrays)
        PyMem_Free(self.reduced_of_arrays)
        PyMem_Free(self.owned)

    def _bind_arrays(self, str rule, tuple arrays, keys, dict slots, str state_dtype):
        """Take validated parameters and their state arrays by slot name, stored as `state_dtype` says."""
        cdef Py_ssize_t k, n = len(arrays)
        if fo_exchange(&self.begun, 1):
            _validation.optimizers.refuse_second_init(type(self).__name__)
        self.arrays, self.keys, self.slots = arrays, keys, tuple(slots.values())
        self.held = tuple([Held(array) for array in arrays])
        self.last_steps, self.missing_steps, self.coalescers = [None] * n, [None] * n, [None] * n
        self.gradients, self.histories = [None] * n, [History() for k in range(n)]
        self.it.work.arrays = <fo_array *>PyMem_Calloc(max(n, 1), sizeof(fo_array))
        self.it.work.first_block = <Py_ssize_t *>PyMem_Calloc(n + 1, sizeof(Py_ssize_t))
        self.owned = <fo_range *>PyMem_Calloc(max(n * (1 + len(slots)), 1), sizeof(fo_range))
        if not self.it.work.arrays or not self.it.work.first_block or not self.owned:
            raise MemoryError()
        found = find_rule(rule)
        if found.sums_before or found.sums_during or found.adjust != NULL:
            self.own_of_arrays = <fo_own *>PyMem_Calloc(max(n, 1), sizeof(fo_own))
            if not self.own_of_arrays:
                raise MemoryError()
        if state_dtype is not None:
            self.reduced_of_arrays = <fo_reduced *>PyMem_Calloc(max(n, 1), sizeof(fo_reduced))
            if not self.reduced_of_arrays:
                raise MemoryError()
        self.ascending = state_dtype == "log8"
        for k in range(n):
            self._bind_array(k, found, slots, state_dtype)
        self.own([(<Held>held).view for held in self.held] + [array for each in self.slots for array in each])
        self.it.work.n_arrays, self.it.work.by_rows = n, found.by_rows
        if found.by_lines:
            self.it.lines = fo_bind_lines(&self.it.work, zeroed(fo_lines_workspace(&self.it.work)))
        if found.orthogonalises:
            if not fo_has_blas():
                raise ImportError("fastopt._blas is needed by this rule; import it before.")
            self.it.orthogonal = fo_bind_orthogonal(&self.it.work, zeroed(fo_orthogonal_workspace(&self.it.work)))
        self.it.rule = found

    cdef int _bind_array(self, Py_ssize_t k, const fo_rule *rule, dict slots, str state_dtype) except -1:
        cdef fo_array *bound = &self.it.work.arrays[k]
        cdef fo_reduced *reduced = NULL if self.reduced_of_arrays == NULL else &self.reduced_of_arrays[k]
        cdef fo_storage storage
        cdef void *memory
        cdef cnp.ndarray param = (<Held>self.held[k]).view
        cdef Py_ssize_t slot = 0
        bound.size = cnp.PyArray_SIZE(param)
        bound.dtype = dtype_names().index(param.dtype.name)
        bound.param = cnp.PyArray_DATA(param)
        if self.own_of_arrays != NULL:
            bound.own = &self.own_of_arrays[k]
        if not cnp.PyArray_ISCARRAY(param):   # it was when it was checked
            _validation.parameters.refuse_moved(label("params", self.keys, k), "optimizer", self.arrays[k], param)
        while rule.slots[slot].name != NULL:
            arrays = slots.get(rule.slots[slot].name.decode())
            if arrays is not None:
                name = storage_name(rule, slot, state_dtype)
                memory, storage = state_data(arrays[k], param, rule.slots[slot].per, name), storage_of(param, name)
                if storage == FO_AS_PARAMETER:
                    bound.state[slot] = memory
                else:
                    reduced.codes[slot] = fo_codes_at(storage, bound.size, memory)
                    reduced.asked, reduced.number, bound.reduced = STORAGE[state_dtype], k, reduced
            slot += 1
        bound.row_width = 1
        if cnp.PyArray_NDIM(param) > 1 and bound.size > 0:
            bound.row_width = bound.size // cnp.PyArray_DIM(param, 0)
        if bound.reduced != NULL and rule.by_rows and bound.row_width > LONGEST_ROW:
            raise ValueError("rows are too long for state in fewer bits.")
        bound.is_matrix = cnp.PyArray_NDIM(param) > 1
        bound.rows = cnp.PyArray_DIM(param, cnp.PyArray_NDIM(param) - 2) if bound.is_matrix else 1
        bound.columns = cnp.PyArray_DIM(param, cnp.PyArray_NDIM(param) - 1) if cnp.PyArray_NDIM(param) > 0 else 1
        return 0

    def _set_places(self, list places not None):
        """Say what arrays the parameters are parts of: the number of the array and its entry, for each.

        The rounding of state in fewer bits depends on it: parts that begin with a multiple of 256 give the bits of the
        whole.
        """
        cdef Py_ssize_t k, origin
        cdef int64_t number
        if self.reduced_of_arrays == NULL:
            return
        for k, (number, origin) in zip(range(self.it.work.n_arrays), places, strict=True):
            if origin % GROUP_ENTRIES != 0:
                raise ValueError(f"parts must begin with a multiple of {GROUP_ENTRIES} entries, got {origin}.")
            self.reduced_of_arrays[k].number, self.reduced_of_arrays[k].origin = number, origin

    cdef int own(self, list arrays) except -1:
        """Note the memory of parameters and state: disjoint ranges, sorted for a search by halves."""
        ranges = sorted((array.ctypes.data, array.ctypes.data + array.nbytes) for array in arrays if array.nbytes)
        self.n_owned = len(ranges)
        for k, (start, stop) in enumerate(ranges):
            self.owned[k].start, self.owned[k].stop = start, stop
        return 0

    cdef int check_initialised(self) except -1:
        """Refuse an object that was made without its __init__, or that another thread is still making."""
        if not fo_load(&self.bound):
            _validation.optimizers.refuse_uninitialised(type(self).__name__)
        return 0

    cdef int bind_gradients(self, object grad) except -1:
        """Bind the gradients of a step; they are kept until `let_go`."""
        cdef Py_ssize_t k
        if self.keys is None:
            self.gradients[0] = self.taken(0, grad)
        else:
            grads = _validation.gradients.flat_gradients(grad, self.keys)
            for k in range(self.it.work.n_arrays):
                self.gradients[k] = None if grads[k] is None else self.taken(k, grads[k])
        for k in range(self.it.work.n_arrays):
            self.check_param(k)               # all of them first: memory that one has left may be a gradient's now
        for k in range(self.it.work.n_arrays):
            if type(self.gradients[k]) is cnp.ndarray:
                self.bind_gradient(k)
            elif self.gradients[k] is None:
                self.it.work.arrays[k].layout, self.it.work.arrays[k].grad = FO_ABSENT, NULL
            else:
                self.bind_sparse_gradient(k)
        return 0

    cdef int pin_all(self) except -1:
        """Pin parameters and gradients, after a look whether they are still what was bound; no Python code runs.

        Without it a step is safe if from binding to its end no Python code runs, of whichever thread.
        """
        cdef Py_ssize_t k
        cdef cnp.ndarray g
        for k in range(self.it.work.n_arrays):
            self.check_param(k)
            self.pin((<Held>self.held[k]).view)
            gradient = self.gradients[k]
            if gradient is not None:
                is_sparse = type(gradient) is tuple
                g = <cnp.ndarray?>((<tuple>gradient)[1] if is_sparse else gradient)
                unmoved = cnp.PyArray_DATA(g) == self.it.work.arrays[k].grad and inside_its_memory(g)
                if not unmoved or not (is_sparse or fits(g, <Held>self.held[k])):
                    _validation.gradients.refuse_moved(label("grad", self.keys, k))
                self.pin(g)
        return 0

    cdef int pin(self, cnp.ndarray array) except -1:
        self.pins.reserve(self.pins.n + 1)
        self.pins.add(array)
        return 0

    cdef int check_gradient_memory(self, Py_ssize_t k, cnp.ndarray array) except -1:
        """Refuse memory that has been taken away, or is that of parameters or state."""
        if not inside_its_memory(array):
            _validation.gradients.refuse_moved(label("grad", self.keys, k))
        if self.reaches_owned(array):
            self.must_pin = True              # Python code looks closer
            params = [(<Held>held).view for held in self.held]
            _validation.gradients.refuse_overlap(label("grad", self.keys, k), array, [params, *self.slots])
        return 0

    cdef int check_param(self, Py_ssize_t k) except -1:
        """Refuse a parameter that is no longer what was bound."""
        cdef Held held = <Held>self.held[k]
        if not is_unchanged(held):
            _validation.parameters.refuse_moved(label("params", self.keys, k), "optimizer", held.array, held.view)
        return 0

    def _check_params(self):
        """Refuse parameters that are no longer what was bound, for Python code that reads them."""
        cdef Py_ssize_t k
        self.check_initialised()
        for k in range(self.it.work.n_arrays):
            self.check_param(k)

    cdef int let_go(self) except -1:
        """Forget the gradients; the caller may do with all arrays what he likes again."""
        cdef Py_ssize_t k
        self.must_pin = False
        if self.pins.n > 0:
            self.pins.release()
        for k in range(self.it.work.n_arrays):
            self.gradients[k] = None
            if self.lags():
                self.missing_steps[k] = None
        return 0

    cdef object taken(self, Py_ssize_t k, object grad):
        """Gradient k as a plain array, or as the plain arrays of a sparse one: later no code of the caller runs."""
        if cnp.PyArray_CheckExact(grad):
            return grad
        if sparse_gradients.is_sparse(grad):
            return sparse_gradients.taken(label("grad", self.keys, k), grad)
        param = (<Held>self.held[k]).view
        return _validation.gradients.gradient_array(label("grad", self.keys, k), grad, param)

    cdef int bind_gradient(self, Py_ssize_t k) except -1:
        """Check dense gradient k and point the argument block at it."""
        cdef fo_array *bound = &self.it.work.arrays[k]
        cdef Held held = <Held>self.held[k]
        cdef cnp.ndarray g = <cnp.ndarray>self.gradients[k]
        cdef bint contiguous = has_flags(g, cnp.NPY_ARRAY_C_CONTIGUOUS)
        if not contiguous:
            g = self.gradients[k] = base_view(g)      # C reads its shape and strides
        if not fits(g, held):
            _validation.gradients.refuse_gradient(label("grad", self.keys, k), g, held.array)
        self.check_gradient_memory(k, g)
        bound.layout = FO_DENSE
        bound.grad = cnp.PyArray_DATA(g)
        bound.grad_strides.ndim = 0
        if not contiguous:
            bound.grad_strides.ndim = cnp.PyArray_NDIM(g)
            bound.grad_strides.shape = <const Py_ssize_t *>cnp.PyArray_DIMS(g)
            bound.grad_strides.strides = <const Py_ssize_t *>cnp.PyArray_STRIDES(g)
        return 0

    cdef int bind_sparse_gradient(self, Py_ssize_t k) except -1:
        """Check sparse gradient k, make its positions distinct and point the argument block at them."""
        cdef fo_array *bound = &self.it.work.arrays[k]
        cdef fo_zero_gradient on_zero = self.on_zero_gradient(k)
        cdef Held held = <Held>self.held[k]
        cdef cnp.ndarray param = held.view, index, values
        cdef Py_ssize_t width, n_positions
        cdef bint in_order, ascending, sorted_already
        cdef bint deferred = self.deferred and (on_zero != FO_STAYS or bound.last_step != NULL)
        if not is_writeable(held):
            _validation.parameters.refuse_read_only(label("params", self.keys, k))
        if self.coalescers[k] is None:
            self.coalescers[k] = sparse_gradients.coalesce.Coalescer()
        coalescer = self.coalescers[k]
        name, parts = label("grad", self.keys, k), self.gradients[k]
        for array in parts.arrays():
            self.pin(array)
            self.check_gradient_memory(k, array)
        index, values, width, promised = sparse_gradients.positions_and_values(name, parts, param, coalescer)
        n_positions = bound.size // width if width else cnp.PyArray_DIM(param, 0)
        in_order = self.exact and (on_zero == FO_MOVES or (on_zero == FO_DECAYS and width != bound.row_width))
        ascending = in_order or (self.ascending and bound.reduced != NULL)
        index, values, sorted_already = coalescer.distinct(
            index, values, n_positions, promised, ascending, self._allowed_threads
        )
        if (self.it.work.by_rows or deferred) and width != bound.row_width and bound.size > 0:
            index, values = sparse_gradients.whole_rows(index, values, bound.row_width)
            width, sorted_already = bound.row_width, True
        bound.grad = cnp.PyArray_DATA(values)
        bound.at.index, bound.at.index64 = cnp.PyArray_DATA(index), cnp.PyArray_ITEMSIZE(index) == 8
        bound.at.n, bound.at.width = cnp.PyArray_SIZE(index), width
        # With clip_norm a NaN among the touched entries makes the scale NaN, which zeros must not meet.
        if in_order or (sorted_already and on_zero == FO_STAYS and width == 1 and self.it.clip_norm == INFINITY
                        and bound.at.n > DENSE_SHARE * bound.size and not self.it.work.by_rows):
            bound.layout = FO_EXPANDED
        else:
            bound.layout = FO_ELEMENTS if width == 1 else FO_ROWS
            # Rows without entries are never behind, and their number is not that of the axis.
            if (deferred or (self.exact and on_zero == FO_DECAYS)) and bound.last_step == NULL and bound.size > 0:
                self.missing_steps[k] = sealed(np.full(self.n_rows(k), self.present(k), np.int64))
        bound.at.workspace = NULL
        if bound.layout == FO_ELEMENTS and not sorted_already and bound.reduced == NULL:
            workspace = coalescer.workspace(fo_partition_workspace(bound))
            bound.at.workspace = NULL if workspace is None else cnp.PyArray_DATA(<cnp.ndarray>workspace)
        self.gradients[k] = index, values
        return 0

    cdef void defer(self, bint flag) noexcept:
        """Whether rows that gradients leave out catch up later with the steps that they have missed."""
        cdef Py_ssize_t k
        cdef History history
        self.deferred = flag
        for k in range(self.it.work.n_arrays):
            history = <History>self.histories[k]
            history.bind(self.it.work.arrays[k].dtype, self.n_rows(k), self.it.rule, self.it.form)
            self.it.work.arrays[k].history = &history.it if flag else NULL

    cdef bint lags(self) noexcept:
        """Whether rows may be behind: they, or their state alone."""
        return self.exact or self.deferred

    cdef int64_t present(self, Py_ssize_t k) noexcept:
        """What `last_step` of array k is for rows that are up to date."""
        cdef const fo_history *history = self.it.work.arrays[k].history
        return self.it.t if history == NULL else history.start + history.n

    cdef int forget_steps(self) except -1:
        """No row is behind any more."""
        cdef Py_ssize_t k
        for k in range(self.it.work.n_arrays):
            self.keep_last_steps(k, None)
            if self.deferred:
                fo_forget_steps(self.it.work.arrays[k].history)
        return 0

    cdef fo_zero_gradient on_zero_gradient(self, Py_ssize_t k) noexcept:
        """What a step does to entries of array k with a zero gradient; weight decay moves them.

        State that only decays counts as moved where its codes are rounded in each step.
        """
        decay = self.it.groups[self.it.work.arrays[k].group].weight_decay
        moves = decay != 0 or fo_couples(self.it.rule)
        if self.it.work.arrays[k].reduced != NULL and self.it.rule.zero_gradient(self.it.form) == FO_DECAYS:
            return FO_MOVES
        return FO_MOVES if moves else self.it.rule.zero_gradient(self.it.form)

    cdef int keep_last_steps(self, Py_ssize_t k, object last_step) except -1:
        """Keep, per position of parameter k, the step that its state is up to date with; None: it is all."""
        former = self.last_steps[k]              # given up after the lock
        with self.replacing:
            self.last_steps[k] = last_step
        self.it.work.arrays[k].last_step = NULL if last_step is None else <int64_t *>cnp.PyArray_DATA(last_step)
        return 0

    cdef object present_last_steps(self, Py_ssize_t k):
        """The same, for readers that have not claimed the optimizer: another thread may replace it meanwhile."""
        with self.replacing:
            return self.last_steps[k]

    cdef bint reaches_owned(self, cnp.ndarray grad) noexcept:
        """Whether the bytes from the first to the last of `grad` meet those of parameters or state."""
        cdef uintptr_t start = <uintptr_t>cnp.PyArray_DATA(grad), stop
        cdef Py_ssize_t axis, reach, low = 0, high = self.n_owned, middle
        if cnp.PyArray_SIZE(grad) == 0:
            return False
        stop = start + cnp.PyArray_ITEMSIZE(grad)
        for axis in range(cnp.PyArray_NDIM(grad)):
            reach = (cnp.PyArray_DIM(grad, axis) - 1) * cnp.PyArray_STRIDE(grad, axis)
            if reach < 0:
                start += reach
            else:
                stop += reach
        while low < high:                      # the first range that ends after `start`
            middle = (low + high) // 2
            if self.owned[middle].stop <= start:
                low = middle + 1
            else:
                high = middle
        return low < self.n_owned and self.owned[low].start < stop

    def _structured(self, tuple arrays not None):
        """Arrays in the structure of the parameters: one array, a list or a dict."""
        self.check_initialised()
        if self.keys is None:
            return arrays[0]
        return dict(zip(self.keys, arrays)) if isinstance(self.keys, tuple) else list(arrays)

    @property
    def params(self):
        """The bound parameters: the caller's own arrays, in the structure they were given."""
        self.check_initialised()
        return self._structured(self.arrays)

    @property
    def _slot_arrays(self):
        """Per slot, a tuple of arrays: views, so that what is done to their flags, shape or dtype stays with them."""
        self.check_initialised()
        return tuple([tuple([base_view(array) for array in arrays]) for arrays in self.slots])

    @property
    def _keys(self):
        """The structure of the parameters: None for one array, the length of a list, or the tuple of keys of a dict."""
        return self.keys

    @property
    def _flat_params(self):
        self.check_initialised()
        return self.arrays

    @property
    def _last_steps(self):
        """Per parameter, the step that the state of each position is up to date with; None: all of it is."""
        cdef Py_ssize_t k
        self.check_initialised()
        present = [self.present_last_steps(k) for k in range(self.it.work.n_arrays)]
        return [None if each is None else base_view(each) for each in present]

    @property
    def _rows_behind(self):
        """How many rows, of all parameters, `catch_up` would change; about as many while a step is under way."""
        cdef Py_ssize_t k, behind = 0
        cdef const fo_history *history
        self.check_initialised()
        if self._values["sparse"] != "deferred":
            return 0
        for k in range(self.it.work.n_arrays):
            last_step, history = self.present_last_steps(k), &(<History>self.histories[k]).it
            if last_step is not None:
                behind += np.count_nonzero(last_step < fo_peek_wide(&history.start) + fo_peek_size(&history.n))
        return behind

    @property
    def _n_rows(self):
        """Per parameter, the number of its positions: rows, or entries of a vector."""
        return [self.n_rows(k) for k in range(self.it.work.n_arrays)]

    cdef Py_ssize_t n_rows(self, Py_ssize_t k) noexcept:
        return self.it.work.arrays[k].size // self.it.work.arrays[k].row_width

    cdef int check_slots(self, int form) except -1:
        """Refuse a form whose kernels use other state slots than those that there are."""
        cdef Py_ssize_t slot = 0
        while self.it.rule.slots[slot].name != NULL:
            options = self.it.rule.slots[slot].options
            if (options & form == options) != has_slot(&self.it.work.arrays[0], slot):
                _validation.state_dicts.refuse_slots(self.it.rule.slots[slot].name.decode())
            slot += 1
        return 0
