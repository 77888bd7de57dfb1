# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Typed Cython between Python arrays and the C kernels: bound arrays -> argument block -> one C call.

No maths and no messages here: kernels are in csrc/, what users read is in _validation.py. An `Engine` holds
the bound arrays and reads their memory; it owns the argument block, not the arrays.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport INFINITY, NAN

cimport numpy as cnp

from . import _validation

cnp.import_array()

# A pass over fewer bytes is over before another thread could make use of the interpreter lock.
cdef Py_ssize_t NOGIL_BYTES = 16 * 1024

cdef enum:
    PROPAGATE
    SKIP
    RAISE


# --- the tables of C, for Python -------------------------------------------------------------------------


cdef list names(const char *const *table):
    cdef Py_ssize_t k = 0
    result = []
    while table[k] != NULL:
        result.append(table[k].decode())
        k += 1
    return result


cdef const fo_rule *find_rule(str name) except NULL:
    cdef Py_ssize_t k = 0
    while fo_rules[k] != NULL:
        if fo_rules[k].name.decode() == name:
            return fo_rules[k]
        k += 1
    raise KeyError(name)


cdef int form_of(const fo_rule *rule, dict values):
    """The form bits of the options among the hyper-parameter values."""
    cdef int form = 0, bit = 2
    for name in names(rule.options):
        if values[name]:
            form |= bit
        bit <<= 1
    return form


def rule_names():
    """Names of the rules, as csrc/rules.def lists them."""
    cdef Py_ssize_t k = 0
    result = []
    while fo_rules[k] != NULL:
        result.append(fo_rules[k].name.decode())
        k += 1
    return result


def rule_hyperparameters(str rule):
    """Names of the hyper-parameters that the rule reads, its options included."""
    cdef const fo_rule *found = find_rule(rule)
    return sorted({*names(found.hyper), *names(found.options)})


def rule_slots(str rule, dict values):
    """Name -> whether it starts at zero, for the state slots that exist with these hyper-parameters."""
    cdef const fo_rule *found = find_rule(rule)
    cdef int form = form_of(found, values)
    cdef Py_ssize_t k = 0
    result = {}
    while found.slots[k].name != NULL:
        if found.slots[k].options & form == found.slots[k].options:
            result[found.slots[k].name.decode()] = bool(found.slots[k].starts_at_zero)
        k += 1
    return result


def dtype_names():
    """The dtypes that parameters may have."""
    cdef int k = 0
    result = []
    while fo_dtype_name(k) != NULL:
        result.append(fo_dtype_name(k).decode())
        k += 1
    return result


def isa_names():
    """The instruction sets of this build, narrowest first."""
    cdef int k = 0
    result = []
    while fo_isa_name(k) != NULL:
        result.append(fo_isa_name(k).decode())
        k += 1
    return result


def isa_supported(str name):
    """Whether this processor runs the instruction set."""
    return bool(fo_isa_supported(isa_names().index(name)))


def isa_in_use():
    """The instruction set that kernels run with."""
    return fo_isa_name(fo_isa_in_use()).decode()


def use_isa(str name):
    """Select an instruction set; it must be supported."""
    fo_use_isa(isa_names().index(name))


def compiler():
    """The compiler that built the kernels."""
    return fo_compiler().decode()


def has_openmp():
    """Whether the build has threads."""
    return bool(fo_has_openmp())


def openmp_max_threads():
    """What the OpenMP runtime would use in this thread: OMP_NUM_THREADS, or a limit of threadpoolctl."""
    return fo_openmp_max_threads()


def advise_huge_pages(cnp.ndarray memory):
    """Ask for huge pages under a block of memory."""
    fo_advise_huge_pages(cnp.PyArray_DATA(memory), cnp.PyArray_NBYTES(memory))


def gauge(cnp.ndarray read, list readwrite, int num_threads):
    """One pass over 1 + len(readwrite) byte arrays of equal size with no arithmetic: the bandwidth gauge."""
    cdef void *streams[4]
    cdef int n = len(readwrite)
    for k in range(n):
        streams[k] = cnp.PyArray_DATA(<cnp.ndarray?>readwrite[k])
    fo_gauge(cnp.PyArray_DATA(read), streams, n, cnp.PyArray_NBYTES(read), num_threads)


# --- the engine ------------------------------------------------------------------------------------------


cdef class Engine:
    """Binds parameters and state to a rule and runs its steps; base class of `fastopt.Optimizer`.

    The subclass gives `_rate_at(t)`, the scheduled learning rate, and `_allowed_threads()`.
    """

    def __cinit__(self):
        self.norm = NAN
        self.work.n_arrays = 0

    def __dealloc__(self):
        PyMem_Free(self.work.arrays)
        PyMem_Free(self.work.first_block)
        PyMem_Free(self.partial)
        PyMem_Free(self.owned)

    def _bind(self, str rule, tuple arrays, keys, dict slots, dict values):
        """Take validated parameters, their state arrays by slot name, and validated hyper-parameters."""
        cdef Py_ssize_t k, n = len(arrays)
        if self.rule != NULL:
            _validation.refuse_second_init(type(self).__name__)
        self.rule = find_rule(rule)
        self.arrays, self.keys, self.slots = arrays, keys, tuple(slots.values())
        self.work.arrays = <fo_array *>PyMem_Calloc(max(n, 1), sizeof(fo_array))
        self.work.first_block = <Py_ssize_t *>PyMem_Calloc(n + 1, sizeof(Py_ssize_t))
        self.owned = <span *>PyMem_Calloc(max(n * (1 + len(slots)), 1), sizeof(span))
        if not self.work.arrays or not self.work.first_block or not self.owned:
            raise MemoryError()
        self.work.n_arrays = n
        for k in range(n):
            self._bind_array(k, slots)
        self._own([*arrays, *(array for slot_arrays in self.slots for array in slot_arrays)])
        self._set_values(values)
        self.rule.start(self.carried)

    def _bind_array(self, Py_ssize_t k, dict slots):
        cdef fo_array *bound = &self.work.arrays[k]
        cdef cnp.ndarray param = self.arrays[k]
        cdef Py_ssize_t slot = 0, nbytes = cnp.PyArray_NBYTES(param)
        bound.size = cnp.PyArray_SIZE(param)
        bound.dtype = dtype_names().index(param.dtype.name)
        bound.param = cnp.PyArray_DATA(param)
        while self.rule.slots[slot].name != NULL:
            arrays = slots.get(self.rule.slots[slot].name.decode())
            if arrays is not None:
                bound.state[slot] = cnp.PyArray_DATA(<cnp.ndarray?>arrays[k])
            slot += 1
        self.bytes += nbytes
        self.work.first_block[k + 1] = self.work.first_block[k] + (nbytes + FO_BLOCK_BYTES - 1) // FO_BLOCK_BYTES

    def _own(self, list arrays):
        """Note the memory of parameters and state: disjoint ranges, sorted for a search by halves."""
        ranges = sorted((array.ctypes.data, array.ctypes.data + array.nbytes) for array in arrays if array.nbytes)
        self.n_owned = len(ranges)
        for k, (start, stop) in enumerate(ranges):
            self.owned[k].start, self.owned[k].stop = start, stop

    def _set_values(self, dict values):
        """Copy the validated hyper-parameters to where a step reads them."""
        cdef Py_ssize_t k
        self.form = form_of(self.rule, values)
        for k, name in enumerate(names(self.rule.hyper)):
            self.hyper[k] = values[name]
        limit = values["clip_value"]
        self.scalars.clip_value = INFINITY if limit is None else limit
        limit = values["clip_norm"]
        self.clip_norm = INFINITY if limit is None else limit
        self.weight_decay = values["weight_decay"]
        self.decoupled = values["decoupled_weight_decay"]
        self.sign = -1.0 if values["maximize"] else 1.0
        self.nonfinite = {"propagate": PROPAGATE, "skip": SKIP, "raise": RAISE}[values["nonfinite"]]
        self._set_rate(values["learning_rate"])

    def _set_rate(self, learning_rate):
        self.scheduled = callable(learning_rate)
        self.rate = NAN if self.scheduled else learning_rate

    def _initialise(self):
        """Fill the state slots from the parameters; they are zero before."""
        cdef double carried[3]
        cdef double rate = self._rate_at(0) if self.scheduled else self.rate
        self.rule.start(carried)
        self.rule.prepare(self.hyper, rate, 1, carried, self.scalars.coef)
        self.run(FO_INITIALISE, self.threads())

    def step(self, grad):
        """Update the parameters in place with one gradient.

        Parameters
        ----------
        grad : ndarray, or list or dict of ndarrays
            Mirrors the structure given at construction: same shapes and dtypes. Never written. A gradient
            that is not C-contiguous is read piece by piece, without a copy of the whole.

        Raises
        ------
        TypeError, ValueError
            When `grad` does not fit; nothing has changed then.
        FloatingPointError
            With ``nonfinite="raise"``, when an entry is NaN or infinite; nothing has changed then.
        RuntimeError
            When another step of this optimizer is under way.
        """
        cdef double rate
        if not fo_try_acquire(&self.busy):
            _validation.refuse_concurrent_step()
        try:
            # A schedule is the caller's code, which may do anything to the arrays: it runs before their checks.
            rate = self._rate_at(self.t) if self.scheduled else self.rate
            held = self.take(0, grad) if self.keys is None else self.take_all(grad)
            self.apply(rate)
        finally:
            fo_release(&self.busy)

    cdef tuple take_all(self, object grad):
        """Bind a list or dict of gradients; returned are the arrays, to be kept alive over the step."""
        cdef Py_ssize_t k
        grads = _validation.flat_gradients(grad, self.keys)
        return tuple([self.take(k, grads[k]) for k in range(self.work.n_arrays)])

    cdef cnp.ndarray take(self, Py_ssize_t k, object grad):
        """Check gradient k and point the argument block at it."""
        cdef fo_array *bound = &self.work.arrays[k]
        cdef cnp.ndarray param = <cnp.ndarray>self.arrays[k], g
        if cnp.PyArray_DATA(param) != bound.param or cnp.PyArray_SIZE(param) != bound.size:
            _validation.refuse_moved_parameter(_validation.label("params", self.keys, k))
        if not cnp.PyArray_CheckExact(grad):
            grad = _validation.gradient_array(_validation.label("grad", self.keys, k), grad, param)
        g = <cnp.ndarray>grad
        if (cnp.PyArray_TYPE(g) != cnp.PyArray_TYPE(param) or not cnp.PyArray_ISBEHAVED_RO(g)
                or not cnp.PyArray_SAMESHAPE(g, param) or not cnp.PyArray_ISWRITEABLE(param)):
            _validation.refuse_gradient(_validation.label("grad", self.keys, k), g, param)
        if self.reaches_owned(g):
            _validation.refuse_overlap(_validation.label("grad", self.keys, k), g,
                                       [self.arrays, *self.slots])
        bound.grad = cnp.PyArray_DATA(g)
        bound.grad_layout.ndim = 0
        if not cnp.PyArray_IS_C_CONTIGUOUS(g):
            bound.grad_layout.ndim = cnp.PyArray_NDIM(g)
            bound.grad_layout.shape = <const Py_ssize_t *>cnp.PyArray_DIMS(g)
            bound.grad_layout.strides = <const Py_ssize_t *>cnp.PyArray_STRIDES(g)
        return g

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

    cdef int apply(self, double rate) except -1:
        """One step with the gradients that are bound; nothing is written before all checks are through."""
        cdef int n_threads = self.threads(), form = self.form
        self.scalars.grad_scale = self.sign
        if self.clip_norm != INFINITY or self.nonfinite != PROPAGATE:
            if not self.scan(n_threads):
                self.skipped += 1
                return 0
        self.rule.prepare(self.hyper, rate, self.t + 1, self.carried, self.scalars.coef)
        self.scalars.l2 = 0.0 if self.decoupled else self.weight_decay
        self.scalars.keep = 1.0 - rate * self.weight_decay if self.decoupled else 1.0
        if (self.scalars.grad_scale != 1.0 or self.scalars.l2 != 0.0 or self.scalars.keep != 1.0
                or self.scalars.clip_value != INFINITY):
            form |= FO_MODIFIED
        self.run(form, n_threads)
        self.t += 1
        return 0

    cdef int scan(self, int n_threads) except -1:
        """Norm and finiteness of the gradients: sets the clipping scale; 0 if the step is to be skipped."""
        cdef fo_scan found
        cdef bint want_norm = self.clip_norm != INFINITY
        if self.partial == NULL:
            self.partial = <fo_scan *>PyMem_Calloc(fo_scan_chunks(&self.work) + 1, sizeof(fo_scan))
            if self.partial == NULL:
                raise MemoryError()
        if self.bytes > NOGIL_BYTES:
            with nogil:
                found = fo_scan_gradients(&self.work, self.scalars.clip_value, want_norm, self.partial, n_threads)
        else:
            found = fo_scan_gradients(&self.work, self.scalars.clip_value, want_norm, self.partial, n_threads)
        if self.nonfinite != PROPAGATE and found.probe != 0:
            if self.nonfinite == RAISE:
                _validation.refuse_nonfinite(self.t)
            return 0
        if want_norm:
            self.norm = fo_scan_norm(found)
            if not self.norm <= self.clip_norm:
                self.scalars.grad_scale = self.sign * (self.clip_norm / self.norm)
        return 1

    cdef int threads(self) except -1:
        """Threads for one pass: one for small work, without asking what is allowed."""
        if fo_useful_threads(self.bytes, 2) == 1:
            return 1
        return fo_useful_threads(self.bytes, self._allowed_threads())

    cdef void run(self, int form, int n_threads) noexcept:
        if self.bytes > NOGIL_BYTES:
            with nogil:
                fo_update(&self.work, self.rule, form, &self.scalars, n_threads)
        else:
            fo_update(&self.work, self.rule, form, &self.scalars, n_threads)

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
    def step_count(self):
        """Number of completed steps."""
        return self.t

    @property
    def skipped_steps(self):
        """Number of steps that ``nonfinite="skip"`` left out; they do not count in `step_count`."""
        return self.skipped

    @property
    def last_grad_norm(self):
        """With `clip_norm`: Euclidean norm of the last gradient over all arrays, before scaling; else None."""
        return None if self.norm != self.norm and self.clip_norm == INFINITY else self.norm

    @property
    def _slot_arrays(self):
        return self.slots

    @property
    def _flat_params(self):
        return self.arrays

    @property
    def _carry(self):
        """Scalars that pass from step to step, by name."""
        cdef Py_ssize_t k
        return {name: self.carried[k] for k, name in enumerate(names(self.rule.carry))}

    def _restore(self, int64_t step_count, int64_t skipped_steps, dict carry):
        """Set the counters and the carried scalars, all validated."""
        cdef Py_ssize_t k
        self.t, self.skipped, self.norm = step_count, skipped_steps, NAN
        for k, name in enumerate(names(self.rule.carry)):
            self.carried[k] = carry[name]
