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
    return (cnp.PyArray_TYPE(g) == cnp.PyArray_TYPE(held.view) and cnp.PyArray_ISBEHAVED_RO(g)
            and cnp.PyArray_SAMESHAPE(g, held.view) and cnp.PyArray_ISWRITEABLE(<cnp.ndarray>held.array))


cdef void *state_data(cnp.ndarray state, cnp.ndarray param, fo_per per) except? NULL:
    """The memory of a state array, which has numbers for entries, rows, columns or the whole of its parameter."""
    shape, dtype = slot_layout(param, PER[per])
    if not (is_sealed(state) and cnp.PyArray_ISCARRAY(state) and (<object>state).shape == shape
            and (<object>state).dtype == dtype):
        raise ValueError("state arrays that go with the parameters are needed, got others.")
    return cnp.PyArray_DATA(state)


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
        self.pins, self.history = Pins(), History()

    def __dealloc__(self):
        PyMem_Free(self.it.work.arrays)
        PyMem_Free(self.it.work.first_block)
        PyMem_Free(self.it.lines)
        PyMem_Free(self.it.orthogonal)
        PyMem_Free(self.it.partial)
        PyMem_Free(self.own_of_arrays)
        PyMem_Free(self.owned)

    def _bind_arrays(self, str rule, tuple arrays, keys, dict slots):
        """Take validated parameters and their state arrays by slot name."""
        cdef Py_ssize_t k, n = len(arrays)
        if self.arrays is not None:
            _validation.optimizers.refuse_second_init(type(self).__name__)
        self.arrays, self.keys, self.slots = arrays, keys, tuple(slots.values())
        self.held = tuple([Held(array) for array in arrays])
        self.last_steps, self.missing_steps, self.coalescers = [None] * n, [None] * n, [None] * n
        self.gradients = [None] * n
        self.it.work.arrays = <fo_array *>PyMem_Calloc(max(n, 1), sizeof(fo_array))
        self.it.work.first_block = <Py_ssize_t *>PyMem_Calloc(n + 1, sizeof(Py_ssize_t))
        self.owned = <memory_range *>PyMem_Calloc(max(n * (1 + len(slots)), 1), sizeof(memory_range))
        if not self.it.work.arrays or not self.it.work.first_block or not self.owned:
            raise MemoryError()
        found = find_rule(rule)
        if found.sums_before or found.sums_during or found.adjust != NULL:
            self.own_of_arrays = <fo_own *>PyMem_Calloc(max(n, 1), sizeof(fo_own))
            if not self.own_of_arrays:
                raise MemoryError()
        for k in range(n):
            self._bind_array(k, found, slots)
        self.own([(<Held>held).view for held in self.held] + [array for each in self.slots for array in each])
        self.it.work.n_arrays, self.it.work.by_rows = n, found.by_rows
        if found.by_lines:
            self.it.lines = fo_bind_lines(&self.it.work, zeroed(fo_lines_workspace(&self.it.work)))
        if found.orthogonalises:
            if not fo_has_blas():
                raise ImportError("fastopt._blas is needed by this rule; import it before.")
            self.it.orthogonal = fo_bind_orthogonal(&self.it.work, zeroed(fo_orthogonal_workspace(&self.it.work)))
        self.it.rule = found                  # last: with a rule all else is there

    cdef int _bind_array(self, Py_ssize_t k, const fo_rule *rule, dict slots) except -1:
        cdef fo_array *bound = &self.it.work.arrays[k]
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
                bound.state[slot] = state_data(arrays[k], param, rule.slots[slot].per)
            slot += 1
        bound.row_width = 1
        if cnp.PyArray_NDIM(param) > 1 and bound.size > 0:
            bound.row_width = bound.size // cnp.PyArray_DIM(param, 0)
        bound.is_matrix = cnp.PyArray_NDIM(param) > 1
        bound.rows = cnp.PyArray_DIM(param, cnp.PyArray_NDIM(param) - 2) if bound.is_matrix else 1
        bound.columns = cnp.PyArray_DIM(param, cnp.PyArray_NDIM(param) - 1) if cnp.PyArray_NDIM(param) > 0 else 1
        return 0

    cdef int own(self, list arrays) except -1:
        """Note the memory of parameters and state: disjoint ranges, sorted for a search by halves."""
        ranges = sorted((array.ctypes.data, array.ctypes.data + array.nbytes) for array in arrays if array.nbytes)
        self.n_owned = len(ranges)
        for k, (start, stop) in enumerate(ranges):
            self.owned[k].start, self.owned[k].stop = start, stop
        return 0

    cdef int check_initialised(self) except -1:
        """Refuse an object that was made without its __init__."""
        if self.it.rule == NULL:
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
                self.gradients[k] = self.taken(k, grads[k])
        for k in range(self.it.work.n_arrays):
            self.check_param(k)
            if type(self.gradients[k]) is cnp.ndarray:
                self.bind_gradient(k)
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
        cdef bint contiguous = cnp.PyArray_IS_C_CONTIGUOUS(g)
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
        cdef fo_zero_gradient on_zero = self.on_zero_gradient()
        cdef Held held = <Held>self.held[k]
        cdef cnp.ndarray param = held.view, index, values
        cdef Py_ssize_t width, n_positions
        cdef bint in_order, sorted_already, deferred = self.it.history != NULL and on_zero != FO_STAYS
        if not cnp.PyArray_ISWRITEABLE(<cnp.ndarray>held.array):
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
        index, values, sorted_already = coalescer.distinct(
            index, values, n_positions, promised, in_order, self._allowed_threads
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
            if (deferred or (self.exact and on_zero == FO_DECAYS)) and bound.last_step == NULL:
                self.missing_steps[k] = sealed(np.full(self.n_rows(k), self.it.t, np.int64))
        bound.at.workspace = NULL
        if bound.layout == FO_ELEMENTS and not sorted_already:
            workspace = coalescer.workspace(fo_partition_workspace(bound))
            bound.at.workspace = NULL if workspace is None else cnp.PyArray_DATA(<cnp.ndarray>workspace)
        self.gradients[k] = index, values
        return 0

    cdef void defer(self, bint flag) noexcept:
        """Whether rows that gradients leave out catch up later with the steps that they have missed."""
        cdef Py_ssize_t k
        self.history.bind(&self.it.work, self.it.rule, self.it.form)
        self.it.history = &self.history.it if flag else NULL
        for k in range(self.it.work.n_arrays):
            self.it.work.arrays[k].history = self.it.history

    cdef bint lags(self) noexcept:
        """Whether rows may be behind: they, or their state alone."""
        return self.exact or self.it.history != NULL

    cdef fo_zero_gradient on_zero_gradient(self) noexcept:
        """What this optimizer does to entries with a zero gradient; weight decay moves them."""
        moves = self.it.weight_decay != 0 or fo_couples(self.it.rule)
        return FO_MOVES if moves else self.it.rule.zero_gradient(self.it.form)

    cdef int keep_last_steps(self, Py_ssize_t k, object last_step) except -1:
        """Keep, per position of parameter k, the step that its state is up to date with; None: it is all."""
        self.last_steps[k] = last_step
        self.it.work.arrays[k].last_step = NULL if last_step is None else <int64_t *>cnp.PyArray_DATA(last_step)
        return 0

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
    def _parameter_keys(self):
        """None for one array; a tuple of the keys of a dict; or the length of a list."""
        return self.keys

    @property
    def _flat_params(self):
        self.check_initialised()
        return self.arrays

    @property
    def _last_steps(self):
        """Per parameter, the step that the state of each position is up to date with; None: all of it is."""
        self.check_initialised()
        return [None if each is None else base_view(each) for each in self.last_steps]

    @property
    def _rows_behind(self):
        """How many rows, of all parameters, `catch_up` would change."""
        if self.it.history == NULL:
            return 0
        return sum([np.count_nonzero(each < self.it.t) for each in self.last_steps if each is not None])

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
            if (options & form == options) != (self.it.work.arrays[0].state[slot] != NULL):
                _validation.state_dicts.refuse_slots(self.it.rule.slots[slot].name.decode())
            slot += 1
        return 0
