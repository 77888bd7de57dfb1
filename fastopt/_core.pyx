"""Typed Cython between Python arrays and the C kernels: bound arrays -> argument block -> one C call.

No maths and no messages here: kernels are in csrc/, what users read is in _validation/. An `Engine` holds
the bound arrays and reads their memory; it owns the argument block, not the arrays. Parts of this module:
_tables.pxi, _storage.pxi and _exports.pxi are C for Python and for the other modules, _bound.pxi is what a step works
on, _groups.pxi the hyper-parameters that it works with, _stats.pxi what it knows of gradients.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.object cimport PyObject_GenericSetAttr
from libc.limits cimport INT_MAX
from libc.math cimport INFINITY, NAN
from libc.string cimport memcpy

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
include "_storage.pxi"
include "_exports.pxi"
include "_bound.pxi"
include "_groups.pxi"
include "_stats.pxi"


cdef class Engine(Grouped):
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

    def _change_values(self, dict values not None, list own_of_arrays, str changed):
        """Go on with other hyper-parameters, of which one has changed; the caller has claimed the optimizer.

        Rows that sparse gradients have left behind are brought up to date with the former ones, where these count.
        """
        self.check_initialised()
        if changed != "learning_rate":
            self._flush_claimed()
            for k in range(self.it.work.n_arrays):
                self.keep_last_steps(k, None)
        self._set_values(values, own_of_arrays)
        PyObject_GenericSetAttr(self, "_values", values)

    def _initialise(self):
        """Fill the state slots from the parameters; they are zero before."""
        self.check_initialised()
        self.read_rates(0)
        cdef int n_threads = self.threads()
        self.prepare_apart(1)
        try:
            self.pin_all()                    # the schedule may have done anything to the arrays
            self.run(FO_INITIALISE, n_threads)
        finally:
            self.pins.release()

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
            n_threads = self.threads()
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
        self.skipped += 1
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

    def _claim(self, str call):
        """A context in which no step of this optimizer can start; refused while one is under way."""
        return Claim(self, call)

    cdef int apply(self, GradientStats stats) except -1:
        """One step with the gradients that are bound; nothing is written before all checks are through."""
        cdef int n_threads
        self.plan()
        n_threads = self.threads()
        if self.bytes > NOGIL_BYTES or self.sparse_plan or self.exact or self.must_pin:
            self.pin_all()
        if not self.check_gradient(stats, n_threads):
            self.skipped += 1
            return 0
        fo_prepare(&self.it)
        if self.exact:
            self.flush_dense()
            self.keep_missing_steps()
        if self.bytes > NOGIL_BYTES:
            with nogil:
                fo_apply(&self.it, n_threads)
        else:
            fo_apply(&self.it, n_threads)
        self.last_rate = self.it.groups[0].learning_rate
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
        """Before a gradient that covers a whole parameter, or is absent: all of its state must be up to date."""
        cdef Py_ssize_t k
        covered = [k for k in range(self.it.work.n_arrays) if self.it.work.arrays[k].last_step != NULL
                   and self.it.work.arrays[k].layout in (FO_DENSE, FO_EXPANDED, FO_ABSENT)]
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

    cdef void prepare_apart(self, int64_t t) noexcept:
        """The scalars of a pass that is no step: what steps carry over stays as it is."""
        cdef double[FO_N_CARRIED] carried
        cdef Py_ssize_t k
        for k in range(self.it.n_groups):
            fo_start_carried(self.it.rule, carried)
            fo_prepare_scalars(&self.it, &self.it.groups[k], t, carried)

    cdef int flush(self) except -1:
        """Bring all state up to date with step t, over the zero gradients that it has not seen yet."""
        cdef Py_ssize_t k
        for k in range(self.it.n_groups):
            self.it.groups[k].step.t = self.it.t
        self.bytes = fo_plan(&self.it.work, FO_FLUSH)
        self.run(FO_FLUSH, self.threads())
        self.bytes = fo_plan(&self.it.work, self.it.form)
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

    def _flush_claimed(self):
        """The same for a caller that has claimed the optimizer."""
        if not all([last_step is None for last_step in self.last_steps]):
            self.prepare_apart(self.it.t + 1)
            self.flush()

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
                fo_update(&self.it.work, self.it.rule, form, self.it.groups, n_threads)
        else:
            fo_update(&self.it.work, self.it.rule, form, self.it.groups, n_threads)

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
        last_steps = [None if each is None else sealed(each.copy()) for each in last_steps]
        # Before the schedules, which could change the dictionaries.
        table = self.regrouped(values, own_of_arrays, dict(saved["carry"]), saved["carry_of_arrays"])
        if schedules:
            load_schedules(schedules, copies)
        for array, source in copies:
            array[...] = source
        PyObject_GenericSetAttr(self, "_values", values)  # not __setattr__, which is Python code
        self.take_values(values)
        self.take_groups(table)
        for k, last_step in enumerate(last_steps):
            self.keep_last_steps(k, last_step)
        self.it.t, self.skipped, self.it.norm, self.last_rate = step_count, skipped_steps, NAN, NAN


def load_schedules(list schedules not None, tuple copies not None):
    """Give each of some learning rates a state, or none of them if there is anything wrong with one."""
    before = [(schedule, schedule.state_dict()) for schedule, _ in schedules]
    try:
        for schedule, state in schedules:
            schedule.load_state_dict(state)
        _validation.state_dicts.unchanged_layout(copies)
    except BaseException as error:
        for schedule, state in before:
            try:
                schedule.load_state_dict(state)
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
