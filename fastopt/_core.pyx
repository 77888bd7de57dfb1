"""Typed Cython between Python arrays and the C kernels: bound arrays -> argument block -> one C call.

No maths and no messages here: kernels are in csrc/, what users read is in _validation.py. An `Engine` holds
the bound arrays and reads their memory; it owns the argument block, not the arrays.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.limits cimport INT_MAX
from libc.math cimport INFINITY, NAN

cimport numpy as cnp
import numpy as np

from . import _validation

from ._objective cimport fo_batch, fo_evaluate, fo_evaluation_room, fo_loss, fo_losses, fo_objective

cnp.import_array()

# From this share of touched entries on, a dense pass over a parameter that zero gradients leave alone is faster
# than single entries at known places (docs/performance/README.md).
cdef double DENSE_SHARE = 0.2

# A pass over fewer bytes is over before another thread could make use of the interpreter lock.
cdef Py_ssize_t NOGIL_BYTES = 16 * 1024


include "_tables.pxi"


cdef void parallel_for(Py_ssize_t n, int num_threads, fo_task *task, const void *context) noexcept nogil:
    fo_parallel_for(n, num_threads, task, context)


cdef int useful_threads(Py_ssize_t nbytes, int num_threads) noexcept nogil:
    return fo_useful_threads(nbytes, num_threads)


cdef const fo_loss *find_loss(bytes name) except NULL:
    cdef Py_ssize_t k = 0
    while fo_losses[k].name != name:
        k += 1
    return fo_losses[k]


cdef size_t evaluation_room(const fo_objective *objective, fo_batch batch) noexcept nogil:
    return fo_evaluation_room(objective, batch)


cdef void run_stretch(const fo_stretch *stretch, fo_worker *workers) noexcept nogil:
    fo_run_stretch(stretch, workers)


cdef void settle(const fo_stretch *stretch, fo_worker *worker, int64_t t, int num_threads) noexcept nogil:
    fo_settle(stretch, worker, t, num_threads)


cdef void run_reduced(fo_reduced *it) noexcept nogil:
    fo_run_reduced(it)


cdef size_t arranging_room(const fo_array *array) noexcept nogil:
    return fo_arranging_room(array)


cdef double evaluate(const fo_objective *objective, const void *w, fo_batch batch, void *derivative, double *gradient,
                     int num_threads) noexcept nogil:
    return fo_evaluate(objective, w, batch, derivative, gradient, num_threads)


cdef class Engine:
    """Binds parameters and state to a rule and runs its steps; base class of `fastopt.Optimizer`.

    The subclass gives `_rate_at(t)`, the scheduled learning rate; `_allowed_threads()`; and `_positions(...)` and
    `_new_coalescer()`, which make positions and values of a sparse gradient.
    """

    def __cinit__(self):
        self.it.norm = self.last_rate = NAN
        self.it.work.n_arrays = 0

    def __dealloc__(self):
        PyMem_Free(self.it.work.arrays)
        PyMem_Free(self.it.work.first_block)
        PyMem_Free(self.it.partial)
        PyMem_Free(self.owned)

    def _bind(self, str rule, tuple arrays, keys, dict slots, dict values):
        """Take validated parameters, their state arrays by slot name, and validated hyper-parameters."""
        cdef Py_ssize_t k, n = len(arrays)
        if self.it.rule != NULL:
            _validation.refuse_second_init(type(self).__name__)
        self.it.rule = find_rule(rule)
        self.arrays, self.keys, self.slots = arrays, keys, tuple(slots.values())
        self.it.work.arrays = <fo_array *>PyMem_Calloc(max(n, 1), sizeof(fo_array))
        self.it.work.first_block = <Py_ssize_t *>PyMem_Calloc(n + 1, sizeof(Py_ssize_t))
        self.owned = <span *>PyMem_Calloc(max(n * (1 + len(slots)), 1), sizeof(span))
        if not self.it.work.arrays or not self.it.work.first_block or not self.owned:
            raise MemoryError()
        self.it.work.n_arrays = n
        for k in range(n):
            self._bind_array(k, slots)
        self.last_steps, self.coalescers = [None] * n, [None] * n
        self.bytes = fo_plan(&self.it.work, 0)
        self._own([*arrays, *(array for slot_arrays in self.slots for array in slot_arrays)])
        self._set_values(values)
        self.it.rule.start(self.it.carried)

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
        bound.resting_width = 1
        if cnp.PyArray_NDIM(param) > 1 and bound.size > 0:
            bound.resting_width = bound.size // cnp.PyArray_DIM(param, 0)

    def _own(self, list arrays):
        """Note the memory of parameters and state: disjoint ranges, sorted for a search by halves."""
        ranges = sorted((array.ctypes.data, array.ctypes.data + array.nbytes) for array in arrays if array.nbytes)
        self.n_owned = len(ranges)
        for k, (start, stop) in enumerate(ranges):
            self.owned[k].start, self.owned[k].stop = start, stop

    def _set_values(self, dict values):
        """Copy the validated hyper-parameters to where a step reads them."""
        cdef Py_ssize_t k
        self.it.form = form_of(self.it.rule, values)
        for k, name in enumerate(names(self.it.rule.hyper)):
            self.it.hyper[k] = values[name]
        limit = values["clip_value"]
        self.it.step.clip_value = INFINITY if limit is None else limit
        limit = values["clip_norm"]
        self.it.clip_norm = INFINITY if limit is None else limit
        self.it.weight_decay = values["weight_decay"]
        self.it.decoupled = values["decoupled_weight_decay"]
        self.it.sign = -1.0 if values["maximize"] else 1.0
        self.exact = values["sparse"] == "exact"
        self.it.nonfinite = {"propagate": FO_PROPAGATE, "skip": FO_SKIP, "raise": FO_RAISE}[values["nonfinite"]]
        self._set_rate(values["learning_rate"])

    def _set_rate(self, learning_rate):
        self.scheduled = callable(learning_rate)
        self.rate = NAN if self.scheduled else learning_rate

    def _initialise(self):
        """Fill the state slots from the parameters; they are zero before."""
        cdef double carried[3]
        cdef double rate = self._rate_at(0) if self.scheduled else self.rate
        self.it.rule.start(carried)
        self.it.rule.prepare(self.it.hyper, rate, 1, carried, self.it.step.coef)
        self.run(FO_INITIALISE, self.threads())

    def step(self, grad):
        """Update the parameters in place with one gradient.

        Parameters
        ----------
        grad : ndarray, scipy.sparse array or matrix, RowSparse, or list or dict of them
            Mirrors the structure given at construction: same shapes and dtypes. Never written. A gradient
            that is not C-contiguous is read piece by piece, without a copy of the whole. A sparse one may
            have the shapes (1, N) and (N, 1) for a parameter of shape (N,); entries that stand more than
            once are added, in the order in which they stand.

        Raises
        ------
        TypeError, ValueError, IndexError
            When `grad` does not fit; nothing has changed then.
        FloatingPointError
            With ``nonfinite="raise"``, when an entry is NaN or infinite; nothing has changed then.
        RuntimeError
            When another step, save or load of this optimizer is under way.
        """
        cdef double rate
        self.acquire("step()")
        try:
            # A schedule is the caller's code, which may do anything to the arrays: it runs before their checks.
            rate = self._rate_at(self.it.t) if self.scheduled else self.rate
            _held = self.take(0, grad) if self.keys is None else self.take_all(grad)
            self.apply(rate)
        finally:
            self.release()

    cdef int acquire(self, str call) except -1:
        """Claim the optimizer for one call, or refuse it: a step in another thread would be seen half done."""
        if not fo_try_acquire(&self.busy):
            _validation.refuse_concurrent_use(call)
        return 0

    cdef void release(self) noexcept:
        fo_release(&self.busy)

    def _claim(self, str call):
        """A context in which no step of this optimizer can start; refused while one is under way."""
        return Claim(self, call)

    cdef tuple take_all(self, object grad):
        """Bind a list or dict of gradients; returned are the arrays, to be kept alive over the step."""
        cdef Py_ssize_t k
        grads = _validation.flat_gradients(grad, self.keys)
        return tuple([self.take(k, grads[k]) for k in range(self.it.work.n_arrays)])

    cdef object take(self, Py_ssize_t k, object grad):
        """Check gradient k and point the argument block at it."""
        cdef fo_array *bound = &self.it.work.arrays[k]
        cdef cnp.ndarray param = <cnp.ndarray>self.arrays[k], g
        if cnp.PyArray_DATA(param) != bound.param or cnp.PyArray_SIZE(param) != bound.size:
            _validation.refuse_moved_parameter(_validation.label("params", self.keys, k))
        if not cnp.PyArray_CheckExact(grad):
            if self._is_sparse(grad):
                return self.take_sparse(k, grad)
            grad = _validation.gradient_array(_validation.label("grad", self.keys, k), grad, param)
        g = <cnp.ndarray>grad
        if (cnp.PyArray_TYPE(g) != cnp.PyArray_TYPE(param) or not cnp.PyArray_ISBEHAVED_RO(g)
                or not cnp.PyArray_SAMESHAPE(g, param) or not cnp.PyArray_ISWRITEABLE(param)):
            _validation.refuse_gradient(_validation.label("grad", self.keys, k), g, param)
        self.check_overlap(k, g)
        bound.cover = FO_DENSE
        bound.grad = cnp.PyArray_DATA(g)
        bound.grad_layout.ndim = 0
        if not cnp.PyArray_IS_C_CONTIGUOUS(g):
            bound.grad_layout.ndim = cnp.PyArray_NDIM(g)
            bound.grad_layout.shape = <const Py_ssize_t *>cnp.PyArray_DIMS(g)
            bound.grad_layout.strides = <const Py_ssize_t *>cnp.PyArray_STRIDES(g)
        return g

    cdef tuple take_sparse(self, Py_ssize_t k, object grad):
        """Check sparse gradient k, make its positions distinct and point the argument block at them."""
        cdef fo_array *bound = &self.it.work.arrays[k]
        cdef fo_zero_gradient on_zero = self.on_zero_gradient()
        cdef cnp.ndarray param = <cnp.ndarray>self.arrays[k], index, values
        cdef Py_ssize_t width, n_positions
        cdef bint in_order, sorted_already
        if not cnp.PyArray_ISWRITEABLE(param):
            _validation.refuse_read_only(_validation.label("params", self.keys, k))
        index, values, width, promised = self._positions(_validation.label("grad", self.keys, k), grad, param)
        n_positions = bound.size // width if width else cnp.PyArray_DIM(param, 0)
        in_order = self.exact and (on_zero == FO_MOVES or (on_zero == FO_DECAYS and width != bound.resting_width))
        if self.coalescers[k] is None:
            self.coalescers[k] = self._new_coalescer()
        self.check_overlap(k, index)
        self.check_overlap(k, values)
        index, values, sorted_already = self.coalescers[k].distinct(
            index, values, n_positions, promised, in_order, self._allowed_threads
        )
        bound.grad = cnp.PyArray_DATA(values)
        bound.at.index, bound.at.wide = cnp.PyArray_DATA(index), cnp.PyArray_ITEMSIZE(index) == 8
        bound.at.n, bound.at.width = cnp.PyArray_SIZE(index), width
        # With clip_norm a NaN among the touched entries makes the scale NaN, which zeros must not meet.
        if in_order or (sorted_already and on_zero == FO_STAYS and width == 1 and self.it.clip_norm == INFINITY
                        and bound.at.n > DENSE_SHARE * bound.size):
            bound.cover = FO_SPREAD
        else:
            bound.cover = FO_ELEMENTS if width == 1 else FO_ROWS
            if self.exact and on_zero == FO_DECAYS and bound.last_step == NULL:
                self.start_resting(k, np.full(self._resting_sizes[k], self.it.t, np.int64))
        bound.at.room = NULL
        if bound.cover == FO_ELEMENTS and not sorted_already:
            room = self.coalescers[k].room(fo_arranging_room(bound))
            bound.at.room = NULL if room is None else cnp.PyArray_DATA(<cnp.ndarray>room)
        return index, values

    cdef fo_zero_gradient on_zero_gradient(self) noexcept:
        """What this optimizer does to entries with a zero gradient; weight decay moves them."""
        return FO_MOVES if self.it.weight_decay != 0 else self.it.rule.zero_gradient(self.it.form)

    cdef int start_resting(self, Py_ssize_t k, cnp.ndarray last_step) except -1:
        """Keep, per position of parameter k, the step that its state is up to date with."""
        self.last_steps[k] = last_step
        self.it.work.arrays[k].last_step = <int64_t *>cnp.PyArray_DATA(last_step)
        return 0

    cdef int check_overlap(self, Py_ssize_t k, cnp.ndarray grad) except -1:
        if self.reaches_owned(grad):
            _validation.refuse_overlap(_validation.label("grad", self.keys, k), grad, [self.arrays, *self.slots])
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

    cdef int apply(self, double rate) except -1:
        """One step with the gradients that are bound; nothing is written before all checks are through."""
        cdef int n_threads
        self.plan()
        n_threads = self.threads()
        if not self.admit(n_threads):
            self.skipped += 1
            return 0
        fo_prepare(&self.it, rate)
        if self.exact:
            self.end_rest_of_covered()
        if self.bytes > NOGIL_BYTES:
            with nogil:
                fo_apply(&self.it, n_threads)
        else:
            fo_apply(&self.it, n_threads)
        self.last_rate = rate
        return 0

    cdef void plan(self) noexcept:
        """Lay the work out for the gradients that are bound; between dense steps it stays the same."""
        cdef bint sparse = False
        cdef Py_ssize_t k
        for k in range(self.it.work.n_arrays):
            sparse = sparse or self.it.work.arrays[k].cover != FO_DENSE
        if sparse or self.sparse_plan:
            self.bytes = fo_plan(&self.it.work, self.it.form)
        self.sparse_plan = sparse

    cdef int end_rest_of_covered(self) except -1:
        """Before a gradient that covers a whole parameter: all of its state must be up to date."""
        cdef Py_ssize_t k
        covered = [k for k in range(self.it.work.n_arrays) if self.it.work.arrays[k].last_step != NULL
                   and self.it.work.arrays[k].cover in (FO_DENSE, FO_SPREAD)]
        if covered:
            self.rest()
            for k in covered:
                self.last_steps[k], self.it.work.arrays[k].last_step = None, NULL
        return 0

    cdef int rest(self) except -1:
        """Bring all state up to date with step t, over the zero gradients that it has not seen yet."""
        self.it.step.t = self.it.t
        self.bytes = fo_plan(&self.it.work, FO_REST)
        self.run(FO_REST, self.threads())
        self.bytes = fo_plan(&self.it.work, self.it.form)
        return 0

    def _end_rest(self):
        """Bring the state up to date for whoever looks at it."""
        cdef double carried[3]
        if all([last_step is None for last_step in self.last_steps]):
            return
        self.acquire("state")
        try:
            self.it.rule.start(carried)
            self.it.rule.prepare(self.it.hyper, NAN, self.it.t + 1, carried, self.it.step.coef)
            self.rest()
        finally:
            self.release()

    cdef int admit(self, int n_threads) except -1:
        """Norm and finiteness of the gradients: sets the clipping scale; 0 if the step is to be skipped."""
        cdef int admitted
        self.make_scan_room()
        if self.bytes > NOGIL_BYTES:
            with nogil:
                admitted = fo_admit(&self.it, n_threads)
        else:
            admitted = fo_admit(&self.it, n_threads)
        if not admitted and self.it.nonfinite == FO_RAISE:
            _validation.refuse_nonfinite(self.it.t)
        return admitted

    cdef int make_scan_room(self) except -1:
        """Scratch for the norm, if it will be asked for."""
        if self.it.partial == NULL and fo_wants_scan(&self.it):
            self.it.partial = <fo_scan *>PyMem_Calloc(FO_SCAN_CHUNKS + self.it.work.n_arrays, sizeof(fo_scan))
            if self.it.partial == NULL:
                raise MemoryError()
        return 0

    cdef int threads(self) except -1:
        """Threads for one pass: one for small work, without asking what is allowed."""
        cdef int useful = fo_useful_threads(self.bytes, INT_MAX)
        return 1 if useful == 1 else min(useful, <int>self._allowed_threads())

    cdef void run(self, int form, int n_threads) noexcept:
        if self.bytes > NOGIL_BYTES:
            with nogil:
                fo_update(&self.it.work, self.it.rule, form, &self.it.step, n_threads)
        else:
            fo_update(&self.it.work, self.it.rule, form, &self.it.step, n_threads)

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
        return self.it.t

    @property
    def skipped_steps(self):
        """Number of steps that ``nonfinite="skip"`` left out; they do not count in `step_count`."""
        return self.skipped

    @property
    def last_grad_norm(self):
        """With `clip_norm`: Euclidean norm of the last gradient over all arrays, before scaling; else None."""
        return None if self.it.norm != self.it.norm and self.it.clip_norm == INFINITY else self.it.norm

    @property
    def _last_rate(self):
        """The learning rate of the last step; NaN before the first one."""
        return self.last_rate

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
        return {name: self.it.carried[k] for k, name in enumerate(names(self.it.rule.carry))}

    @property
    def _last_steps(self):
        """Per parameter, the step that the state of each position is up to date with; None: all of it is."""
        return self.last_steps

    @property
    def _resting_sizes(self):
        """Per parameter, the number of its positions: rows, or entries of a vector."""
        cdef fo_array *bound = self.it.work.arrays
        return [bound[k].size // bound[k].resting_width for k in range(self.it.work.n_arrays)]

    def _take_over(self, dict values, tuple copies, int64_t step_count, int64_t skipped_steps, dict carry,
                   list last_steps, schedule, schedule_state):
        """Become what was saved: the last part of loading, after all checks and allocations.

        Parameters
        ----------
        values : dict
            Hyper-parameters, the learning rate included.
        copies : tuple of pairs of ndarrays
            Where to, and what from.
        step_count, skipped_steps, carry, last_steps
            The counters and the carried scalars; the arrays of `last_steps` are kept.
        schedule, schedule_state
            A learning rate that has state, and that state; or None.

        Notes
        -----
        Once the schedule, which is the caller's code, has taken its state, nothing is left that can fail, and no Python
        code runs before the end, at which the interpreter could let Ctrl-C in: all is loaded, or nothing is.
        """
        cdef Py_ssize_t k
        if schedule is not None:
            self._load_schedule(schedule, schedule_state)
        for array, saved in copies:
            array[...] = saved
        self._values = values
        self._set_values(values)
        for k, last_step in enumerate(last_steps):
            self.last_steps[k], self.it.work.arrays[k].last_step = None, NULL
            if last_step is not None:
                self.start_resting(k, last_step)
        self.it.t, self.skipped, self.it.norm = step_count, skipped_steps, NAN
        for k, name in enumerate(names(self.it.rule.carry)):
            self.it.carried[k] = carry[name]

    def _load_schedule(self, schedule, state):
        before = schedule.state_dict()
        try:
            schedule.load_state_dict(state)
        except BaseException as error:
            try:
                schedule.load_state_dict(before)
            except Exception:
                pass  # it loads nothing at all; the first reason is the one to tell
            raise error


cdef class Claim:
    """Keeps an optimizer to one block of code.

    In C, as Python code could be interrupted between claiming and entering the block.
    """

    cdef Engine engine
    cdef str call

    def __init__(self, Engine engine, str call):
        self.engine, self.call = engine, call

    def __enter__(self):
        self.engine.acquire(self.call)

    def __exit__(self, *error):
        self.engine.release()
