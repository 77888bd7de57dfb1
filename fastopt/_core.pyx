"""Typed Cython between Python arrays and the C kernels: bound arrays -> argument block -> one C call.

No maths and no messages here: kernels are in csrc/, what users read is in _validation/. An `Engine` holds
the bound arrays and reads their memory; it owns the argument block, not the arrays. Parts of this module:
_tables.pxi, _storage.pxi and _exports.pxi are C for Python and for the other modules, _bound.pxi is what a step works
on, _groups.pxi the hyper-parameters that it works with, _lagging.pxi rows that are behind, _stats.pxi what it knows of
gradients, _claim.pxi keeps it to one block of code, _handle.pxi is what compiled code has of it.
"""

import sysconfig

from cpython.exc cimport PyErr_SetInterrupt
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject, PyObject_GenericSetAttr
from cpython.pycapsule cimport PyCapsule_GetContext, PyCapsule_New, PyCapsule_SetContext, PyCapsule_SetDestructor
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.limits cimport INT_MAX
from libc.math cimport INFINITY, NAN
from libc.stdint cimport int64_t, uintptr_t
from libc.string cimport memcpy

cimport cython
cimport numpy as cnp
import numpy as np

from . import _validation
from ._validation.parameters import label
from ._validation.state_dicts import OWED

from ._csrc cimport *
from ._memory cimport array_fields, base_view, has_flags, inside_its_memory, is_behaved, is_unchanged
from ._memory import is_sealed, sealed

cnp.import_array()
if not fo_expect_forks():
    raise MemoryError

# A pass over fewer bytes is over before another thread could make use of the interpreter lock. Where there is no such
# lock, memory has to be pinned for all passes.
cdef Py_ssize_t NOGIL_BYTES = 16 * 1024 if not sysconfig.get_config_var("Py_GIL_DISABLED") else -1


include "_tables.pxi"
include "_storage.pxi"
include "_exports.pxi"
include "_history.pxi"
include "_bound.pxi"
include "_groups.pxi"
include "_lagging.pxi"
include "_stats.pxi"


cdef class Engine(Lagging):
    """Runs the steps of a rule on what is bound; base class of `fastopt.Optimizer`.

    The subclass gives `_rate_at(schedule, t)`, a scheduled learning rate, beside what `Bound` asks for.
    """

    def __cinit__(self):
        self.it.norm = self.it.value = self.last_rate = NAN

    def _bind(self, str rule, tuple arrays, keys, dict slots, dict values, list own_of_arrays):
        """Take validated parameters, their state arrays by slot name, and validated hyper-parameters."""
        cdef double[FO_N_CARRIED] carried
        self._bind_arrays(rule, arrays, keys, slots, values["state_dtype"])
        self.bytes = fo_plan(&self.it.work, 0)  # of dense gradients, and of the pass that fills the state
        fo_start_carried(self.it.rule, carried)
        carry = self.carry_of(carried)
        self.take_values(values)
        self.take_groups(self.regrouped(values, own_of_arrays, carry, [carry] * len(arrays)))
        PyObject_GenericSetAttr(self, "_values", values)
        if not all(rule_slots(rule, values).values()):
            self.fill_state()
        fo_store(&self.bound, 1)              # last: now all is there

    def _change_values(self, dict values not None, list own_of_arrays, str changed):
        """Go on with other hyper-parameters, of which one has changed; the caller has claimed the optimizer.

        Rows that sparse gradients have left behind are brought up to date with the former ones, where these count. Not
        so with deferred steps: each is remembered with its own.
        """
        self.check_initialised()
        if self.exact and changed != "learning_rate":
            self._flush_claimed()
            self.forget_steps()
        self._set_values(values, own_of_arrays)
        PyObject_GenericSetAttr(self, "_values", values)

    def _initialise(self):
        """Fill the state slots from the parameters once more."""
        self.check_initialised()
        self.fill_state()

    cdef int fill_state(self) except -1:
        """Fill the state slots from the parameters; they are zero before."""
        self.read_rates(0)
        cdef int n_threads = self.threads(self.bytes)
        self.prepare_apart(1)
        try:
            self.pin_all()                    # the schedule may have done anything to the arrays
            self.run(&self.it.work, FO_INITIALISE, self.bytes, n_threads)
        finally:
            self.pins.release()
        return 0

    def step(self, grad, value=None, stats=None):
        """Update the parameters in place with one gradient.

        Parameters
        ----------
        grad : ndarray, scipy.sparse array or matrix, RowSparse, or list or dict of them
            Mirrors the structure given at construction: same shapes and dtypes. Never written. A gradient
            that is not C-contiguous is read through a small buffer, without a copy of the whole. A sparse
            one may have the shapes (1, N) and (N, 1) for a parameter of shape (N,); entries with the same
            index are added in their order. In a list or dict None, or a missing key, leaves a parameter and
            its state alone. The step counts all the same, in bias corrections and schedules, too.
        value : float, optional
            The value of the objective, at the same parameters: for the optimizers that use it (`MoMo`), and no others.
        stats : GradientStats, optional
            What `clip_norm` and `nonfinite` go by, in the place of `grad`: for a step on a part of the parameters, the
            sum of the `gradient_stats` of all parts.

        Raises
        ------
        TypeError, ValueError, IndexError
            When `grad`, `value` or `stats` does not fit; nothing has changed then.
        FloatingPointError
            With ``nonfinite="raise"``, when an entry or the value is NaN or infinite; nothing has changed then.
        RuntimeError
            When another step, save or load of this optimizer is under way.
        """
        self.acquire("step()")
        try:
            # A schedule and a value are the caller's code, which may do anything to the arrays: before their checks.
            if self.scheduled:
                self.read_rates(self.it.t)
            self.it.value = self.checked_value(value)
            if stats is not None and not isinstance(stats, GradientStats):
                _validation.gradients.refuse_stats(stats)
            self.bind_gradients(grad)
            self.apply(stats)
        finally:
            self.let_go()
            self.release()

    def gradient_stats(self, grad):
        """Return norm and finiteness of a gradient, as `clip_norm` and `nonfinite` go by them; nothing changes.

        Parameters
        ----------
        grad : ndarray, scipy.sparse array or matrix, RowSparse, or list or dict of them
            As `step` takes it.

        Returns
        -------
        GradientStats
            Of entries limited by `clip_value`. Dense gradients of parts of the arrays, each of which begins with a
            multiple of 4,096 entries of its array, have stats that add to those of the whole, bit for bit.

        Raises
        ------
        TypeError, ValueError, IndexError
            When `grad` does not fit.
        RuntimeError
            When another step, save or load of this optimizer is under way.
        """
        cdef GradientStats found = GradientStats()
        cdef int n_threads
        self.acquire("gradient_stats()")
        try:
            self.bind_gradients(grad)
            self.plan()
            n_threads = self.threads(self.bytes)
            self.pin_all()
            with nogil:
                fo_measure_gradients(&self.it, True, True, n_threads, &found.it)
            fo_carry(&found.it.squares)
        finally:
            self.let_go()
            self.release()
        return found

    def skip(self):
        """Leave out a step, as ``nonfinite="skip"`` does: it counts in `skipped_steps`, not in `step_count`.

        Raises
        ------
        RuntimeError
            When another step, save or load of this optimizer is under way.
        """
        self.acquire("skip()")
        fo_show_wide(&self.skipped, self.skipped + 1)
        self.release()

    cdef int read_rates(self, int64_t t) except -1:
        """Ask each schedule for the learning rate of the step that follows t completed ones."""
        cdef double rate
        for schedule, of_groups in self.table.schedules:
            rate = self._rate_at(schedule, t)
            for k in of_groups:
                self.it.groups[k].learning_rate = rate
        return 0

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

    cdef void show(self, int64_t t, int64_t skipped, double norm, double rate) noexcept:
        """Set the numbers that others may look at meanwhile; the optimizer is claimed."""
        fo_show_wide(&self.it.t, t)
        fo_show_wide(&self.skipped, skipped)
        fo_show_real(&self.it.norm, norm)
        fo_show_real(&self.last_rate, rate)

    def _claim(self, str call):
        """A context in which no step of this optimizer can start; refused while one is under way."""
        return Claim(self, call)

    cdef int apply(self, GradientStats stats) except -1:
        """One step with the gradients that are bound; nothing is written before all checks are through."""
        cdef int n_threads, flush_threads
        self.plan()
        n_threads = self.threads(self.bytes)
        if self.bytes > NOGIL_BYTES or self.sparse_plan or self.lags() or self.must_pin:
            self.pin_all()
        if not self.check_gradient(stats, n_threads):
            fo_show_wide(&self.skipped, self.skipped + 1)
            return 0
        flush_threads = self.get_ready_to_flush() if self.lags() else 1
        fo_prepare(&self.it)                  # from here on nothing can fail, and no Python code runs
        if self.lags():
            self.flush_before_step(flush_threads)
            self.keep_missing_steps()
        if self.bytes > NOGIL_BYTES:
            with nogil:
                fo_apply(&self.it, n_threads)
        else:
            fo_apply(&self.it, n_threads)
        fo_show_real(&self.last_rate, self.it.groups[0].learning_rate)
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

    def _flush(self):
        """Bring the state up to date for whoever looks at it."""
        cdef Py_ssize_t k
        self.check_initialised()
        if all([self.present_last_steps(k) is None for k in range(self.it.work.n_arrays)]):
            return
        self.acquire("state")
        try:
            self._flush_claimed()
        finally:
            self.release()

    cdef int check_gradient(self, GradientStats stats, int n_threads) except -1:
        """Norm and finiteness of the gradients: sets the clipping scale; 0 if the step is to be skipped."""
        cdef int accepted
        cdef const fo_gradient_stats *known = NULL if stats is None else &stats.it
        self.allocate_sums()
        if self.bytes > NOGIL_BYTES:
            with nogil:
                accepted = fo_check_gradient(&self.it, known, n_threads)
        else:
            accepted = fo_check_gradient(&self.it, known, n_threads)
        if not accepted and self.it.nonfinite == FO_RAISE:
            used = self.it.value if self.it.rule.uses_value else 0.0
            _validation.gradients.refuse_nonfinite(self.it.t, used)
        return accepted

    cdef int allocate_sums(self) except -1:
        """Workspace for the sums of the rule, if it has any."""
        cdef Py_ssize_t n
        if self.it.partial == NULL and fo_couples(self.it.rule):
            n = FO_MAX_CHUNKS + self.it.work.n_arrays
            self.it.partial = <fo_sums *>PyMem_Calloc(n, sizeof(fo_sums))
            if self.it.partial == NULL:
                raise MemoryError()
        return 0

    cdef fo_bound_handle *public_handle(self) except NULL:
        """What compiled code has of this optimizer, with the number of threads that is allowed now."""
        self.check_initialised()
        if not fo_load(&self.has_handle):
            self.acquire("address")
            try:
                if self.handle is None:       # another thread may have been faster
                    self.allocate_sums()
                    handle = Handle()
                    handle.bind(self)
                    self.handle = handle
                    fo_store(&self.has_handle, 1)
            finally:
                self.release()
        fo_show(&self.handle.it.num_threads, max(1, <int>self._allowed_threads()))
        return &self.handle.it

    @property
    def capsule(self):
        """What compiled code steps this optimizer with: a capsule "fastopt.optimizer", which keeps it alive.

        From the first time on that this or `address` is asked for, the parameters cannot be resized. Steps use at most
        as many threads as are allowed when it is asked for.
        """
        return capsule_of(self)

    @property
    def address(self):
        """The same as an integer, for numba, ctypes and cffi; valid as long as the optimizer lives."""
        return <uintptr_t>self.public_handle()

    @property
    def step_count(self):
        """Number of completed steps."""
        return fo_peek_wide(&self.it.t)

    @property
    def skipped_steps(self):
        """Number of steps that ``nonfinite="skip"`` left out; they do not count in `step_count`."""
        return fo_peek_wide(&self.skipped)

    @property
    def last_grad_norm(self):
        """With `clip_norm`: Euclidean norm of the last gradient over all arrays, before scaling; else None."""
        cdef double norm = fo_peek_real(&self.it.norm)
        return None if norm != norm and self.it.clip_norm == INFINITY else norm

    @property
    def _last_rate(self):
        """The learning rate of the last step; NaN before the first one."""
        return fo_peek_real(&self.last_rate)

    def _take_over(self, dict values, list own_of_arrays, tuple copies, dict saved, list schedules):
        """Become what was saved: the last part of loading, after all checks and allocations.

        Parameters
        ----------
        values : dict
            Hyper-parameters, the learning rate included.
        own_of_arrays : list of dicts
            Those in which each array differs.
        copies : tuple of pairs of ndarrays
            Where to, and what from.
        saved : dict
            The state dictionary, of which the counters, the carried scalars, also those of arrays ("carry_of_arrays"),
            and the last steps are read; these are checked here, next to what C takes for granted of them, and copied.
        schedules : list of pairs
            Learning rates, and the state that each takes over.

        Notes
        -----
        Once the schedules, which are the caller's code, have taken their states, nothing is left that can fail, and no
        Python code runs before the end, at which the interpreter could let Ctrl-C in: all is loaded, or nothing is.
        """
        self.check_initialised()
        cdef int64_t step_count = saved["step_count"], skipped_steps = saved["skipped_steps"]
        cdef Py_ssize_t k
        cdef GroupTable table
        n_rows, last_steps = [self.n_rows(k) for k in range(self.it.work.n_arrays)], saved["last_steps"]
        _validation.state_dicts.last_steps({"last_steps": last_steps, "step_count": step_count}, n_rows)
        form = form_of(self.it.rule, values)
        self.check_slots(form)
        decays = values["sparse"] == "exact" and self.it.rule.zero_gradient(form) == FO_DECAYS
        for own, each in zip(own_of_arrays, last_steps, strict=True):
            if not decays or (values | own)["weight_decay"] != 0:  # no rows are ever behind, and C does not expect any
                _validation.state_dicts.no_last_steps([each])
        last_steps = [None if each is None or each.size == 0 else sealed(each.copy()) for each in last_steps]
        # Before the schedules, which could change the dictionaries.
        table = self.regrouped(values, own_of_arrays, dict(saved["carry"]), saved["carry_of_arrays"])
        if schedules:
            load_schedules(schedules, copies)
        for array, source in copies:
            array[...] = source
        PyObject_GenericSetAttr(self, "_values", values)  # not __setattr__, which is Python code
        self.take_values(values)
        self.take_groups(table)
        self.show(step_count, skipped_steps, NAN, NAN)
        self.forget_steps()
        for k, last_step in enumerate(last_steps):
            self.keep_last_steps(k, last_step)


include "_claim.pxi"
include "_handle.pxi"
