"""Typed Cython between Python arrays and the C kernels: bound arrays -> argument block -> one C call.

No maths and no messages here: kernels are in csrc/, what users read is in _validation/. An `Engine` holds
the bound arrays and reads their memory; it owns the argument block, not the arrays. Parts of this module:
_tables.pxi and _exports.pxi are C for Python and for the other modules, _bound.pxi is what a step works on.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject_GenericSetAttr
from libc.limits cimport INT_MAX
from libc.math cimport INFINITY, NAN

cimport numpy as cnp
import numpy as np

from . import _validation
from ._validation.parameters import label
from ._validation.state_dicts import OWED

from ._csrc cimport *
from ._memory cimport base_view, inside_its_memory, is_unchanged
from ._memory import is_sealed, sealed

cnp.import_array()
if not fo_expect_forks():
    raise MemoryError

# A pass over fewer bytes is over before another thread could make use of the interpreter lock.
cdef Py_ssize_t NOGIL_BYTES = 16 * 1024


include "_tables.pxi"
include "_exports.pxi"
include "_history.pxi"
include "_bound.pxi"


cdef class Engine(Bound):
    """Runs the steps of a rule on what is bound; base class of `fastopt.Optimizer`.

    The subclass gives `_rate_at(t)`, the scheduled learning rate, beside what `Bound` asks for.
    """

    def __cinit__(self):
        self.it.norm = self.it.value = self.last_rate = NAN

    def _bind(self, str rule, tuple arrays, keys, dict slots, dict values):
        """Take validated parameters, their state arrays by slot name, and validated hyper-parameters."""
        self._bind_arrays(rule, arrays, keys, slots)
        self.bytes = fo_plan(&self.it.work, 0)  # of dense gradients, and of the pass that fills the state
        self._set_values(values)
        fo_start_carried(self.it.rule, self.it.carried)

    def _set_values(self, dict values not None):
        """Copy the validated hyper-parameters to where a step reads them."""
        cdef Py_ssize_t k
        self.check_initialised()
        cdef int form = form_of(self.it.rule, values)
        self.check_slots(form)
        self.it.form = form
        for k, name in enumerate(names(self.it.rule.hyper)):
            self.it.hyper[k] = NAN if values[name] is None else values[name]
        limit = values["clip_value"]
        self.it.step.clip_value = INFINITY if limit is None else limit
        limit = values["clip_norm"]
        self.it.clip_norm = INFINITY if limit is None else limit
        self.it.weight_decay = values["weight_decay"]
        self.it.decoupled = values["decoupled_weight_decay"]
        self.it.sign = -1.0 if values["maximize"] else 1.0
        self.exact = values["sparse"] == "exact" or fo_couples(self.it.rule)
        self.defer(values["sparse"] == "deferred")
        self.it.nonfinite = {"propagate": FO_PROPAGATE, "skip": FO_SKIP, "raise": FO_RAISE}[values["nonfinite"]]
        self._set_rate(values["learning_rate"])

    def _set_rate(self, learning_rate):
        self.scheduled = callable(learning_rate)
        self.rate = NAN if self.scheduled else learning_rate

    def _initialise(self):
        """Fill the state slots from the parameters; they are zero before."""
        self.check_initialised()
        cdef double rate = self._rate_at(0) if self.scheduled else self.rate
        cdef int n_threads = self.threads()
        self.prepare_apart(rate, 1)
        try:
            self.pin_all()                    # the schedule may have done anything to the arrays
            self.run(FO_INITIALISE, n_threads)
        finally:
            self.pins.release()

    def step(self, grad, value=None):
        """Update the parameters in place with one gradient.

        Parameters
        ----------
        grad : ndarray, scipy.sparse array or matrix, RowSparse, or list or dict of them
            Mirrors the structure given at construction: same shapes and dtypes. Never written. A gradient
            that is not C-contiguous is read through a small buffer, without a copy of the whole. A sparse
            one may have the shapes (1, N) and (N, 1) for a parameter of shape (N,); entries with the same
            index are added in their order.
        value : float, optional
            The value of the objective, at the same parameters: for the optimizers that use it (`MoMo`), and no others.

        Raises
        ------
        TypeError, ValueError, IndexError
            When `grad` or `value` does not fit; nothing has changed then.
        FloatingPointError
            With ``nonfinite="raise"``, when an entry or the value is NaN or infinite; nothing has changed then.
        RuntimeError
            When another step, save or load of this optimizer is under way.
        """
        cdef double rate
        self.acquire("step()")
        try:
            # A schedule and a value are the caller's code, which may do anything to the arrays: before their checks.
            rate = self._rate_at(self.it.t) if self.scheduled else self.rate
            self.it.value = self.checked_value(value)
            self.bind_gradients(grad)
            self.apply(rate)
        finally:
            self.let_go()
            self.release()

    cdef double checked_value(self, object value) except? -1:
        """The value of the objective, for a rule that uses it; else NaN."""
        if self.it.rule.uses_value:
            return _validation.optimizers.objective_value(type(self).__name__, value)
        if value is not None:
            _validation.optimizers.refuse_value(type(self).__name__, value)
        return NAN

    cdef int acquire(self, str call) except -1:
        """Claim the optimizer for one call, or refuse it: a step in another thread would be seen half done."""
        self.check_initialised()
        if not fo_try_acquire(&self.busy):
            _validation.optimizers.refuse_concurrent_use(call)
        return 0

    cdef void release(self) noexcept:
        fo_release(&self.busy)

    def _claim(self, str call):
        """A context in which no step of this optimizer can start; refused while one is under way."""
        return Claim(self, call)

    cdef int apply(self, double rate) except -1:
        """One step with the gradients that are bound; nothing is written before all checks are through."""
        cdef int n_threads
        self.plan()
        n_threads = self.threads()
        if self.bytes > NOGIL_BYTES or self.sparse_plan or self.lags() or self.must_pin:
            self.pin_all()
        if not self.check_gradient(rate, n_threads):
            self.skipped += 1
            return 0
        self.make_room()
        fo_prepare(&self.it, rate)
        if self.lags():
            self.flush_dense()
            self.keep_missing_steps()
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
            sparse = sparse or self.it.work.arrays[k].layout != FO_DENSE
        if sparse or self.sparse_plan:
            self.bytes = fo_plan(&self.it.work, self.it.form)
        self.sparse_plan = sparse

    cdef int flush_dense(self) except -1:
        """Before a gradient that covers a whole parameter: all of its state must be up to date."""
        cdef Py_ssize_t k
        covered = [k for k in range(self.it.work.n_arrays) if self.it.work.arrays[k].last_step != NULL
                   and self.it.work.arrays[k].layout in (FO_DENSE, FO_EXPANDED)]
        if covered:
            self.flush()
            for k in covered:
                self.keep_last_steps(k, None)
        return 0

    cdef int keep_missing_steps(self) except -1:
        """From this step on, rows of some parameters are up to date with different steps."""
        cdef Py_ssize_t k
        for k in range(self.it.work.n_arrays):
            if self.missing_steps[k] is not None:
                self.keep_last_steps(k, self.missing_steps[k])
        return 0

    cdef void prepare_apart(self, double rate, int64_t t) noexcept:
        """The scalars of a pass that is no step: what steps carry over stays as it is."""
        cdef double[FO_N_CARRIED] carried
        fo_start_carried(self.it.rule, carried)
        fo_prepare_scalars(&self.it, rate, t, carried)

    cdef int flush(self) except -1:
        """Bring all state up to date with step t, over the zero gradients that it has not seen yet."""
        self.it.step.t = self.it.t
        self.bytes = fo_plan(&self.it.work, FO_FLUSH)
        self.run(FO_FLUSH, self.threads())
        self.bytes = fo_plan(&self.it.work, self.it.form)
        fo_forget_steps(&self.history.it)
        return 0

    cdef int settle(self) except -1:
        """Leave no row behind, until the next sparse step, for other C code that makes steps."""
        cdef Py_ssize_t k
        if self.it.history != NULL and not all([last_step is None for last_step in self.last_steps]):
            self.flush()
            for k in range(self.it.work.n_arrays):
                self.keep_last_steps(k, None)
        return 0

    cdef int make_room(self) except -1:
        """Memory to remember one more step; once there are as many as rows may be behind by, all catch up."""
        if self.it.history != NULL:
            if self.history.is_full():
                self.flush()
            self.history.reserve(1)
        return 0

    cdef int pin_params(self) except -1:
        """Before parameters are written outside a step; the caller lets go of them."""
        cdef Py_ssize_t k
        self.pin_all()
        for k in range(self.it.work.n_arrays):
            if not cnp.PyArray_ISWRITEABLE(<cnp.ndarray>(<Held>self.held[k]).array):
                _validation.parameters.refuse_read_only(label("params", self.keys, k))
        return 0

    def _flush(self):
        """Bring the state up to date for whoever looks at it."""
        self.check_initialised()
        if all([last_step is None for last_step in self.last_steps]):
            return
        self.acquire("state")
        try:
            self._flush_claimed()
        finally:
            self.release()

    def _catch_up_all(self):
        """Bring all rows up to date, with deferred steps; the optimizer is claimed."""
        if self.it.history != NULL:
            self._flush_claimed()

    def _flush_claimed(self):
        """Bring the state up to date for a caller that has claimed the optimizer."""
        if not all([last_step is None for last_step in self.last_steps]):
            try:
                if self.it.history != NULL:
                    self.pin_params()
                self.prepare_apart(NAN, self.it.t + 1)
                self.flush()
            finally:
                self.pins.release()

    def _catch_up_rows(self, list rows not None):
        """Bring some rows up to date: per parameter the rows, checked, or None. The optimizer is claimed.

        With other settings than sparse="deferred" all are.
        """
        cdef Py_ssize_t k
        cdef fo_array *bound
        cdef cnp.ndarray index, behind
        if self.it.history == NULL:
            return
        room = [None if each is None else np.empty(each.size, np.int64) for each in rows]
        try:
            self.pin_params()
            for k in range(self.it.work.n_arrays):
                bound = &self.it.work.arrays[k]
                bound.at.n = 0
                if rows[k] is not None and bound.last_step != NULL:
                    index, behind = rows[k], room[k]
                    bound.at.index, bound.at.index64, bound.at.width = cnp.PyArray_DATA(behind), 1, bound.row_width
                    bound.at.n = fo_claim_rows(bound, cnp.PyArray_DATA(index), cnp.PyArray_ITEMSIZE(index) == 8,
                                               cnp.PyArray_SIZE(index), self.it.t, <int64_t *>cnp.PyArray_DATA(behind))
            self.it.step.t = self.it.t
            self.bytes = fo_plan(&self.it.work, FO_CATCH_UP)
            self.run(FO_CATCH_UP, self.threads())
            for k in range(self.it.work.n_arrays):
                self.it.work.arrays[k].at.n = 0
            self.bytes = fo_plan(&self.it.work, self.it.form)
        finally:
            self.pins.release()

    cdef int check_gradient(self, double rate, int n_threads) except -1:
        """Norm and finiteness of the gradients: sets the clipping scale; 0 if the step is to be skipped."""
        cdef int accepted
        self.allocate_sums()
        if self.bytes > NOGIL_BYTES:
            with nogil:
                accepted = fo_check_gradient(&self.it, rate, n_threads)
        else:
            accepted = fo_check_gradient(&self.it, rate, n_threads)
        if not accepted and self.it.nonfinite == FO_RAISE:
            used = self.it.value if self.it.rule.uses_value else 0.0
            _validation.gradients.refuse_nonfinite(self.it.t, used)
        return accepted

    cdef int allocate_sums(self) except -1:
        """Workspace for sums over gradients, parameters and state, if they will be asked for."""
        cdef Py_ssize_t n
        if self.it.partial == NULL and fo_needs_sums(&self.it):
            n = FO_MAX_CHUNKS + self.it.work.n_arrays
            self.it.partial = <fo_sums *>PyMem_Calloc(n, sizeof(fo_sums))
            if self.it.partial == NULL:
                raise MemoryError()
        return 0

    cdef int threads(self) except -1:
        """Threads for one pass: one for small work, without asking what is allowed."""
        cdef int useful = fo_useful_threads(self.bytes, INT_MAX)
        return 1 if useful == 1 else max(1, min(useful, <int>self._allowed_threads()))

    cdef void run(self, int form, int n_threads) noexcept:
        if self.bytes > NOGIL_BYTES:
            with nogil:
                fo_update(&self.it.work, self.it.rule, form, &self.it.step, n_threads)
        else:
            fo_update(&self.it.work, self.it.rule, form, &self.it.step, n_threads)

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
    def _carry(self):
        """Scalars that pass from step to step, by name; decay that is owed to float32 arrays, unless there is none."""
        cdef Py_ssize_t k
        self.check_initialised()
        carry = {name: self.it.carried[k] for k, name in enumerate(names(self.it.rule.carry))}
        owed = {name: self.it.carried[FO_OWED_DECAY + k] for k, name in enumerate(OWED)}
        return carry | {name: value for name, value in owed.items() if value != 0}

    def _take_over(self, dict values, tuple copies, dict saved, last_steps, schedule):
        """Become what was saved: the last part of loading, after all checks and allocations.

        Parameters
        ----------
        values : dict
            Hyper-parameters, the learning rate included.
        copies : tuple of pairs of ndarrays
            Where to, and what from.
        saved : dict
            The state dictionary, of which the counters, the carried scalars and the schedule's state are read.
        last_steps : list of ndarray or None
            Checked here, next to what C takes for granted of them, and copied.
        schedule
            A learning rate that takes over the schedule's state, or None.

        Notes
        -----
        Once the schedule, which is the caller's code, has taken its state, nothing is left that can fail, and no Python
        code runs before the end, at which the interpreter could let Ctrl-C in: all is loaded, or nothing is.
        """
        self.check_initialised()
        cdef int64_t step_count = saved["step_count"], skipped_steps = saved["skipped_steps"]
        cdef double[FO_N_CARRIED] carried
        cdef Py_ssize_t k
        n_rows = [self.n_rows(k) for k in range(self.it.work.n_arrays)]
        _validation.state_dicts.last_steps({"last_steps": last_steps, "step_count": step_count}, n_rows)
        form = form_of(self.it.rule, values)
        self.check_slots(form)
        decays = values["weight_decay"] == 0 and self.it.rule.zero_gradient(form) == FO_DECAYS
        if not (values["sparse"] == "exact" and decays):  # else no rows are ever behind, and C does not expect any
            _validation.state_dicts.no_last_steps(last_steps)
        last_steps = [None if each is None else sealed(each.copy()) for each in last_steps]
        for k, name in enumerate(names(self.it.rule.carry)):  # before the schedule, which could change the dict
            carried[k] = saved["carry"][name]
        for k, name in enumerate(OWED):
            carried[FO_OWED_DECAY + k] = saved["carry"].get(name, 0.0)
        if schedule is not None:
            self._load_schedule(schedule, saved["schedule"], copies)
        for array, source in copies:
            array[...] = source
        PyObject_GenericSetAttr(self, "_values", values)  # not __setattr__, which is Python code
        self._set_values(values)
        for k, last_step in enumerate(last_steps):
            self.keep_last_steps(k, last_step)
        self.it.t, self.skipped, self.it.norm, self.last_rate = step_count, skipped_steps, NAN, NAN
        fo_forget_steps(&self.history.it)
        self.it.carried = carried

    def _load_schedule(self, schedule, state, tuple copies):
        before = schedule.state_dict()
        try:
            schedule.load_state_dict(state)
            _validation.state_dicts.unchanged_layout(copies)
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
    cdef bint entered

    def __cinit__(self, Engine engine not None, str call):
        self.engine, self.call = engine, call

    def __enter__(self):
        self.engine.acquire(self.call)
        self.entered = True

    def __exit__(self, *error):
        if self.entered:
            self.entered = False
            self.engine.release()
