# Part of _core.pyx: the arrays of the caller as C sees them. Parameters and state are bound once, gradients every step.

# From this share of touched entries on, a dense pass over a parameter that zero gradients leave alone is faster
# than single entries at known places (docs/performance/README.md).
cdef double DENSE_SHARE = 0.2


cdef inline bint has_moved(const fo_array *bound, cnp.ndarray param) noexcept:
    """Whether the caller has resized a parameter: its memory is no longer what was bound."""
    return cnp.PyArray_DATA(param) != bound.param or cnp.PyArray_SIZE(param) != bound.size


cdef class Bound:
    """Binds parameters and state to a rule, and the gradients of a step to the parameters; nothing is written to any.

    The subclass gives `_allowed_threads()`; and `_positions(...)` and `_new_coalescer()`, which make positions and
    values of a sparse gradient.
    """

    def __cinit__(self):
        self.it.work.n_arrays = 0

    def __dealloc__(self):
        PyMem_Free(self.it.work.arrays)
        PyMem_Free(self.it.work.first_block)
        PyMem_Free(self.it.partial)
        PyMem_Free(self.owned)

    def _bind_arrays(self, str rule, tuple arrays, keys, dict slots):
        """Take validated parameters and their state arrays by slot name."""
        cdef Py_ssize_t k, n = len(arrays)
        if self.it.rule != NULL:
            _validation.optimizers.refuse_second_init(type(self).__name__)
        self.it.rule = find_rule(rule)
        self.arrays, self.keys, self.slots = arrays, keys, tuple(slots.values())
        self.it.work.arrays = <fo_array *>PyMem_Calloc(max(n, 1), sizeof(fo_array))
        self.it.work.first_block = <Py_ssize_t *>PyMem_Calloc(n + 1, sizeof(Py_ssize_t))
        self.owned = <memory_range *>PyMem_Calloc(max(n * (1 + len(slots)), 1), sizeof(memory_range))
        if not self.it.work.arrays or not self.it.work.first_block or not self.owned:
            raise MemoryError()
        self.it.work.n_arrays = n
        for k in range(n):
            self._bind_array(k, slots)
        self.last_steps, self.coalescers = [None] * n, [None] * n
        self._own([*arrays, *(array for slot_arrays in self.slots for array in slot_arrays)])

    def _bind_array(self, Py_ssize_t k, dict slots):
        cdef fo_array *bound = &self.it.work.arrays[k]
        cdef cnp.ndarray param = self.arrays[k]
        cdef Py_ssize_t slot = 0
        bound.size = cnp.PyArray_SIZE(param)
        bound.dtype = dtype_names().index(param.dtype.name)
        bound.param = cnp.PyArray_DATA(param)
        while self.it.rule.slots[slot].name != NULL:
            arrays = slots.get(self.it.rule.slots[slot].name.decode())
            if arrays is not None:
                bound.state[slot] = cnp.PyArray_DATA(<cnp.ndarray?>arrays[k])
            slot += 1
        bound.row_width = 1
        if cnp.PyArray_NDIM(param) > 1 and bound.size > 0:
            bound.row_width = bound.size // cnp.PyArray_DIM(param, 0)

    def _own(self, list arrays):
        """Note the memory of parameters and state: disjoint ranges, sorted for a search by halves."""
        ranges = sorted((array.ctypes.data, array.ctypes.data + array.nbytes) for array in arrays if array.nbytes)
        self.n_owned = len(ranges)
        for k, (start, stop) in enumerate(ranges):
            self.owned[k].start, self.owned[k].stop = start, stop

    cdef tuple bind_gradients(self, object grad):
        """Bind a list or dict of gradients; returned are the arrays, to be kept alive over the step."""
        cdef Py_ssize_t k
        grads = _validation.gradients.flat_gradients(grad, self.keys)
        return tuple([self.bind_gradient(k, grads[k]) for k in range(self.it.work.n_arrays)])

    cdef int check_memory(self, Py_ssize_t k) except -1:
        """Refuse a parameter that is no longer where it was bound."""
        if has_moved(&self.it.work.arrays[k], <cnp.ndarray>self.arrays[k]):
            _validation.parameters.refuse_moved(label("params", self.keys, k), "optimizer")
        return 0

    cdef object bind_gradient(self, Py_ssize_t k, object grad):
        """Check gradient k and point the argument block at it."""
        cdef fo_array *bound = &self.it.work.arrays[k]
        cdef cnp.ndarray param = <cnp.ndarray>self.arrays[k], g
        if has_moved(bound, param):
            self.check_memory(k)
        if not cnp.PyArray_CheckExact(grad):
            if self._is_sparse(grad):
                return self.bind_sparse_gradient(k, grad)
            grad = _validation.gradients.gradient_array(label("grad", self.keys, k), grad, param)
        g = <cnp.ndarray>grad
        if (cnp.PyArray_TYPE(g) != cnp.PyArray_TYPE(param) or not cnp.PyArray_ISBEHAVED_RO(g)
                or not cnp.PyArray_SAMESHAPE(g, param) or not cnp.PyArray_ISWRITEABLE(param)):
            _validation.gradients.refuse_gradient(label("grad", self.keys, k), g, param)
        self.check_overlap(k, g)
        bound.layout = FO_DENSE
        bound.grad = cnp.PyArray_DATA(g)
        bound.grad_strides.ndim = 0
        if not cnp.PyArray_IS_C_CONTIGUOUS(g):
            bound.grad_strides.ndim = cnp.PyArray_NDIM(g)
            bound.grad_strides.shape = <const Py_ssize_t *>cnp.PyArray_DIMS(g)
            bound.grad_strides.strides = <const Py_ssize_t *>cnp.PyArray_STRIDES(g)
        return g

    cdef tuple bind_sparse_gradient(self, Py_ssize_t k, object grad):
        """Check sparse gradient k, make its positions distinct and point the argument block at them."""
        cdef fo_array *bound = &self.it.work.arrays[k]
        cdef fo_zero_gradient on_zero = self.on_zero_gradient()
        cdef cnp.ndarray param = <cnp.ndarray>self.arrays[k], index, values
        cdef Py_ssize_t width, n_positions
        cdef bint in_order, sorted_already
        if not cnp.PyArray_ISWRITEABLE(param):
            _validation.parameters.refuse_read_only(label("params", self.keys, k))
        index, values, width, promised = self._positions(label("grad", self.keys, k), grad, param)
        n_positions = bound.size // width if width else cnp.PyArray_DIM(param, 0)
        in_order = self.exact and (on_zero == FO_MOVES or (on_zero == FO_DECAYS and width != bound.row_width))
        if self.coalescers[k] is None:
            self.coalescers[k] = self._new_coalescer()
        self.check_overlap(k, index)
        self.check_overlap(k, values)
        index, values, sorted_already = self.coalescers[k].distinct(
            index, values, n_positions, promised, in_order, self._allowed_threads
        )
        bound.grad = cnp.PyArray_DATA(values)
        bound.at.index, bound.at.index64 = cnp.PyArray_DATA(index), cnp.PyArray_ITEMSIZE(index) == 8
        bound.at.n, bound.at.width = cnp.PyArray_SIZE(index), width
        # With clip_norm a NaN among the touched entries makes the scale NaN, which zeros must not meet.
        if in_order or (sorted_already and on_zero == FO_STAYS and width == 1 and self.it.clip_norm == INFINITY
                        and bound.at.n > DENSE_SHARE * bound.size):
            bound.layout = FO_EXPANDED
        else:
            bound.layout = FO_ELEMENTS if width == 1 else FO_ROWS
            if self.exact and on_zero == FO_DECAYS and bound.last_step == NULL:
                self.keep_last_steps(k, np.full(self._n_rows[k], self.it.t, np.int64))
        bound.at.workspace = NULL
        if bound.layout == FO_ELEMENTS and not sorted_already:
            workspace = self.coalescers[k].workspace(fo_partition_workspace(bound))
            bound.at.workspace = NULL if workspace is None else cnp.PyArray_DATA(<cnp.ndarray>workspace)
        return index, values

    cdef fo_zero_gradient on_zero_gradient(self) noexcept:
        """What this optimizer does to entries with a zero gradient; weight decay moves them."""
        return FO_MOVES if self.it.weight_decay != 0 else self.it.rule.zero_gradient(self.it.form)

    cdef int keep_last_steps(self, Py_ssize_t k, cnp.ndarray last_step) except -1:
        """Keep, per position of parameter k, the step that its state is up to date with."""
        self.last_steps[k] = last_step
        self.it.work.arrays[k].last_step = <int64_t *>cnp.PyArray_DATA(last_step)
        return 0

    cdef int check_overlap(self, Py_ssize_t k, cnp.ndarray grad) except -1:
        if self.reaches_owned(grad):
            _validation.gradients.refuse_overlap(label("grad", self.keys, k), grad, [self.arrays, *self.slots])
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

    def _structured(self, tuple arrays):
        """Arrays in the structure of the parameters: one array, a list or a dict."""
        if self.keys is None:
            return arrays[0]
        return dict(zip(self.keys, arrays)) if isinstance(self.keys, tuple) else list(arrays)

    @property
    def params(self):
        """The bound parameters: the caller's own arrays, in the structure they were given."""
        return self._structured(self.arrays)

    @property
    def _slot_arrays(self):
        return self.slots

    @property
    def _flat_params(self):
        return self.arrays

    @property
    def _last_steps(self):
        """Per parameter, the step that the state of each position is up to date with; None: all of it is."""
        return self.last_steps

    @property
    def _n_rows(self):
        """Per parameter, the number of its positions: rows, or entries of a vector."""
        cdef fo_array *bound = self.it.work.arrays
        return [bound[k].size // bound[k].row_width for k in range(self.it.work.n_arrays)]
