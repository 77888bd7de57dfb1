"""Typed Cython between an epoch of a built-in objective and its C loops: memory and tables, no maths over samples.

An epoch is run in stretches of consecutive batches. Between two stretches the parameters are as they should be and
Python may look at them; inside, penalties of columns that no sample touches are outstanding (csrc/penalty.h).
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport INFINITY, log
from libc.stdint cimport int32_t, int64_t

cimport numpy as cnp
import numpy as np

from .. import _validation

from .._core cimport (FO_BAD_GRADIENT, FO_BAD_LOSS, FO_DELAYED, FO_FLOW, FO_FOLDED_BYTES, FO_MOST_COLUMNS, FO_NO_PENALTY,
                     FO_RAISE, FO_SCAN_CHUNKS, FO_SHRINK, FO_SOLVE, Engine, arranging_room, fo_array, fo_lookout,
                     fo_penalty, fo_reduced, fo_scan, fo_stretch, fo_worker, run_reduced, run_stretch, settle)
from .objective cimport Sum
from .._csrc cimport fo_batch

cnp.import_array()

PENALTIES = {"none": FO_NO_PENALTY, "shrink": FO_SHRINK, "flow": FO_FLOW, "solve": FO_SOLVE, "delayed": FO_DELAYED}
COMPLETE, BAD_LOSS, BAD_GRADIENT = 0, FO_BAD_LOSS, FO_BAD_GRADIENT

# Decay of all parameters within a stretch: from here on it is brought into the parameters themselves.
LEAST_DECAY = 2.0**-40

# A step that leaves less of a parameter ends a stretch of SAGA and SVRG too soon for folding to pay.
LEAST_FOLDED = 0.5

# Entries of sparse rows in a batch from which on handing its columns to a second thread pays: some 10 us of work.
LOOK_AHEAD_ENTRIES = 2048


cdef void *data_of(cnp.ndarray array):
    return cnp.PyArray_DATA(array)


def aligned_room(nbytes):
    """Bytes that begin a cache line."""
    room = np.empty(nbytes + 64, np.uint8)
    first = -room.ctypes.data % 64
    return room[first : first + nbytes]


cdef fo_batch batch_of(cnp.ndarray order, Py_ssize_t first, Py_ssize_t n):
    """Samples from `first` on, or those at [first, first + n) of an order."""
    cdef fo_batch batch
    batch.sample = NULL
    if order is not None:
        batch.sample = <const int64_t *>cnp.PyArray_DATA(order) + first
    batch.first, batch.n, batch.more = first, n, 0
    return batch


cdef int place_of(Engine optimizer, bytes name) except -1:
    """Where a rule keeps a hyper-parameter."""
    cdef int k = 0
    while optimizer.it.rule.hyper[k] != name:
        k += 1
    return k


cdef class Lookout:
    """Lets Python's signal handlers run during a stretch, and ends it where `stop_wanted()` says so or raises.

    `every` is the number of batches between two glances at the clock.
    """

    cdef fo_lookout it
    cdef public object stop_wanted
    cdef object raised

    def __init__(self, Py_ssize_t every):
        self.it.stop_wanted, self.it.context, self.it.every, self.it.left = look_out, <void *>self, every, every

    def check(self):
        """Raise what ended the last stretch."""
        raised, self.raised = self.raised, None
        if raised is not None:
            raise raised


cdef int look_out(void *context) noexcept with gil:
    lookout = <Lookout>context
    try:
        return bool(lookout.stop_wanted())
    except BaseException as error:                # KeyboardInterrupt among them
        lookout.raised = error
        return 1


cdef class BatchStretches:
    """Runs batches of an objective through an optimizer.

    Parameters
    ----------
    objective : Sum
    optimizer : Engine
        Of the objective's parameters alone.
    batch_size, most_entries : int
        Samples in a batch, and the most entries of sparse rows that one has.
    l2, l1 : float
    lasting : float
        Times l2 and l1, what "shrink" takes of parameters outside of the gradient.
    penalty : str
        A key of PENALTIES.
    everywhere : bool
        Whether steps on sparse rows go over all parameters too.
    n_workers : int
        Lock-free samplers; 1: none.
    lookout : Lookout
    names : dict
        For "flow" the optimizer's accumulator, epsilon and epsilon_root.
    """

    cdef Sum objective
    cdef Engine optimizer
    cdef fo_stretch stretch
    cdef fo_penalty penalty
    cdef fo_worker *workers
    cdef list memory
    cdef double decay_l2
    cdef readonly double loss
    cdef readonly double grad_norm
    cdef readonly object last

    def __cinit__(self):
        self.workers = NULL

    def __dealloc__(self):
        PyMem_Free(self.workers)

    def __init__(self, Sum objective, Engine optimizer, Py_ssize_t batch_size, Py_ssize_t most_entries, double l2,
                 double l1, double lasting, str penalty, bint everywhere, int n_workers,
                 Lookout lookout, dict names):
        cdef fo_stretch *stretch = &self.stretch
        self.objective, self.optimizer, self.memory = objective, optimizer, [lookout]
        stretch.lookout = &lookout.it if n_workers == 1 else NULL
        stretch.objective, stretch.optimizer, stretch.penalty = &objective.it, &optimizer.it, &self.penalty
        stretch.batch_size, stretch.n_workers = batch_size, n_workers
        self.penalty.l2, self.penalty.l1 = l2, l1 * (lasting if penalty == "shrink" else 1.0)
        self.decay_l2 = l2 * lasting
        stretch.plain = not everywhere and self.is_plain()
        stretch.dense = everywhere or not (objective.it.sparse or stretch.plain)
        self.bind_penalty(penalty, names)
        self.workers = <fo_worker *>PyMem_Calloc(n_workers, sizeof(fo_worker))
        if self.workers == NULL:
            raise MemoryError()
        for k in range(n_workers):
            self.furnish(&self.workers[k], most_entries)

    cdef void *room(self, Py_ssize_t n, dtype, bint zeros=False) except NULL:
        """Memory that lives as long as this object; one entry at least."""
        array = (np.zeros if zeros else np.empty)(max(n, 1), dtype)
        self.memory.append(array)
        return cnp.PyArray_DATA(<cnp.ndarray>array)

    cdef int bind_penalty(self, str kind, dict names) except -1:
        cdef fo_penalty *penalty = &self.penalty
        penalty.kind = PENALTIES[kind]
        penalty.n_columns, penalty.width = self.objective.it.n_features, self.objective.it.n_outputs
        penalty.dtype, penalty.param = self.objective.it.dtype, self.optimizer.it.work.arrays[0].param
        if kind == "solve":
            self.stretch.l1_at = place_of(self.optimizer, b"l1")
            self.stretch.l2_at = place_of(self.optimizer, b"l2")
        if kind == "flow":
            penalty.accumulator = data_of(names["accumulator"])
            penalty.epsilon, penalty.epsilon_root = names["epsilon"], names["epsilon_root"]
        if kind in ("shrink", "flow", "delayed") and not self.stretch.dense:
            self.last = np.full(penalty.n_columns, self.optimizer.it.t - 1, np.int64)
            penalty.last = <int64_t *>data_of(self.last)
        return 0

    cdef int furnish(self, fo_worker *worker, Py_ssize_t most_entries) except -1:
        """Memory for the largest batch."""
        cdef Py_ssize_t n_outputs = self.objective.it.n_outputs, n_features = self.objective.it.n_features
        cdef Py_ssize_t n_samples = self.stretch.batch_size, size = self.optimizer.it.work.arrays[0].size
        cdef Py_ssize_t n_columns = min(most_entries, n_features) + 1
        cdef fo_array largest
        if n_columns > FO_MOST_COLUMNS:
            _validation.sparse_gradients.refuse_batch(n_samples, FO_MOST_COLUMNS)
        dtype = self.objective.X.dtype
        worker.derivative = self.room(n_samples * n_outputs, dtype)
        worker.label, worker.weight = self.room(n_samples, dtype), self.room(n_samples, dtype)
        worker.partial = <fo_scan *>self.room((FO_SCAN_CHUNKS + 1) * sizeof(fo_scan), np.uint8)
        if not self.objective.it.sparse:
            worker.gradient = self.room(size, dtype)
            return 0
        worker.seen.column, worker.seen.base = <int32_t *>self.room(n_features, np.int32, True), 1
        for k in range(1 if self.stretch.n_workers > 1 else 2):
            worker.touched[k].column = self.room(n_columns, np.int64 if self.objective.it.wide else np.int32)
            worker.touched[k].place = <int32_t *>self.room(most_entries, np.int32)
        worker.gathered = self.room(n_columns * n_outputs, dtype)
        worker.gradient = self.room(n_columns * n_outputs, dtype)
        if self.stretch.dense:
            worker.spread = self.room(size, dtype)
        largest = self.optimizer.it.work.arrays[0]
        largest.at.n = n_columns
        if n_outputs == 1 and arranging_room(&largest):
            worker.room = self.room(arranging_room(&largest) // 8 + 1, np.float64)
        return 0

    cdef bint is_plain(self):
        """Whether plain SGD on single rows will do. Folded with l1, float32 would lose digits, and dense rows time."""
        cdef bint exact = self.objective.it.sparse and self.objective.X.dtype == np.float64
        cdef bint l1_will_do = self.penalty.l1 == 0 or exact
        return (self.optimizer._penalty == "shrink" and self.optimizer.it.form == 0 and self.stretch.batch_size == 1
                and self.objective.it.n_outputs == 1 and l1_will_do
                and self.optimizer.it.clip_norm == INFINITY and self.optimizer.it.step.clip_value == INFINITY
                and self.optimizer.it.weight_decay == 0 and self.optimizer.it.sign == 1
                and self.optimizer.it.nonfinite == FO_RAISE)

    cdef bint worth_looking_ahead(self, int num_threads):
        """Whether a second thread should collect the columns of the next batch."""
        cdef fo_stretch *it = &self.stretch
        if num_threads == 1 or it.n_workers > 1 or it.plain or it.dense or not self.objective.it.sparse:
            return False
        return self.objective.X.nnz / self.objective.it.n_samples * it.batch_size >= LOOK_AHEAD_ENTRIES

    def run(self, cnp.ndarray order, Py_ssize_t first, Py_ssize_t n_samples, cnp.ndarray rates, int num_threads,
            double loss):
        """Run the batches of samples [first, first + n_samples) of an order.

        Returns how many were run and how many left out, and why it ended.

        `rates` has the learning rate of the step before, and that of each batch. The stretch may be shorter than
        asked for. Afterwards `loss` is what was given plus the losses, and `grad_norm` that of the last batch.
        """
        cdef fo_stretch *it = &self.stretch
        cdef Engine engine = self.optimizer
        cdef int64_t start
        cdef Py_ssize_t n_batches, n_done = 0, n_skipped = 0, reached = 0, n_passed
        cdef int end = 0, k
        engine.acquire("minimize()")          # a callback may have handed the optimizer to another thread
        try:
            self.objective._check_places()
            engine.check_place(0)
            tables = self.tables(np.asarray(rates[1:]))
            n_batches, start = len(tables[0]) - 1, engine.it.t
            it.samples = batch_of(order, first, min(n_samples, n_batches * it.batch_size))
            it.n_batches, it.loss = n_batches, loss
            it.look_ahead = self.worth_looking_ahead(num_threads)
            it.num_threads = 1 if it.look_ahead or it.n_workers > 1 else num_threads
            it.rate = <const double *>cnp.PyArray_DATA(rates)
            self.penalty.start = start
            self.penalty.decay = <const double *>data_of(tables[0])
            self.penalty.pull = <const double *>data_of(tables[1])
            with nogil:
                run_stretch(it, self.workers)
                for k in range(it.n_workers):
                    n_passed = self.workers[k].n_done + self.workers[k].n_skipped
                    reached = max(reached, k + (n_passed - 1) * it.n_workers + 1 if n_passed else 0)
                    n_done += self.workers[k].n_done
                    n_skipped += self.workers[k].n_skipped
                    end = end or self.workers[k].end
                settle(it, &self.workers[0], start + reached, num_threads)
            self.take_over(rates, start, n_done, n_skipped)
        finally:
            engine.release()
        return n_done, n_skipped, end

    cdef int take_over(self, cnp.ndarray rates, int64_t start, Py_ssize_t n_done, Py_ssize_t n_skipped) except -1:
        """What the workers leave behind, into the optimizer."""
        cdef Engine engine = self.optimizer
        cdef Py_ssize_t k, last = (self.stretch.n_batches - 1) % self.stretch.n_workers
        self.loss = sum([self.workers[k].loss for k in range(self.stretch.n_workers)])
        self.grad_norm = self.workers[last].squared_norm ** 0.5
        engine.it.t = start + n_done
        engine.skipped += n_skipped
        if n_skipped and self.last is not None:
            self.last[...] = engine.it.t - 1  # all are up to date, and the steps counted anew
        if n_done:
            engine.last_rate = rates[n_done]
        if not self.stretch.plain:
            engine.it.norm = self.workers[last].optimizer.norm
            if self.stretch.n_workers == 1:
                engine.it.carried = self.workers[0].optimizer.carried
            elif engine.it.rule.carry[0] != NULL:  # none of the workers has made the last step for certain
                for k in range(n_done):
                    engine.it.rule.prepare(engine.it.hyper, rates[k + 1], start + k + 1, engine.it.carried,
                                           engine.it.step.coef)
        return 0

    cdef tuple tables(self, rates):
        """The tables of the penalty over as many steps as one stretch may have."""
        kind, start = self.penalty.kind, np.ones(1)
        if kind == FO_FLOW:
            return np.ones(len(rates) + 1), np.concatenate([np.zeros(1), np.cumsum(rates)])
        if kind != FO_SHRINK or self.stretch.dense:
            return np.ones(len(rates) + 1), np.zeros(len(rates) + 1)
        decay = np.cumprod(np.concatenate([start, 1.0 - rates * self.decay_l2]))
        n = len(rates)
        if decay.min() < LEAST_DECAY:
            n = max(1, int(np.searchsorted(-decay, -LEAST_DECAY, side="right")))
        decay = decay[: n + 1].copy()
        return decay, np.concatenate([np.zeros(1), np.cumsum(rates[:n] * self.penalty.l1 / decay[1:])])

    def skip(self):
        """Count the batch that ended a stretch as left out."""
        self.optimizer.skipped += 1


cdef class ReducedStretches:
    """Runs SAGA or SVRG over samples of an objective; owns the table of derivatives and its mean gradient."""

    cdef Sum objective
    cdef fo_reduced it
    cdef readonly object table
    cdef readonly object mean
    cdef object param
    cdef list memory
    cdef Py_ssize_t longest

    def __init__(self, Sum objective, cnp.ndarray param, double rate, double l2, double l1, bint refresh,
                 Py_ssize_t longest, Lookout lookout):
        cdef fo_reduced *it = &self.it
        cdef double decay = 1.0 - rate * l2
        cdef bint folds = objective.it.sparse and objective.it.n_outputs == 1 and l1 == 0.0 and decay >= LEAST_FOLDED
        if folds and decay < 1.0:
            longest = min(longest, int(log(LEAST_DECAY) / log(decay)))
        self.objective, self.param, self.longest = objective, param, longest
        self.table = np.zeros((objective.it.n_samples, objective.it.n_outputs), param.dtype)
        self.mean = np.zeros_like(param)
        powers = np.cumprod(np.concatenate([np.ones(1), np.full(longest, decay)]))
        sums = np.concatenate([np.zeros(1), np.cumsum(powers[:longest])])
        self.memory = [powers, sums, np.empty(2 * objective.it.n_outputs, param.dtype),
                       np.zeros(objective.it.n_features, np.int32), lookout]
        if folds:
            self.memory.append(aligned_room(objective.it.n_features * FO_FOLDED_BYTES))
            it.folded = data_of(self.memory[5])
        it.lookout = &lookout.it
        it.objective, it.rate, it.l2, it.l1, it.refresh = &objective.it, rate, l2, l1, refresh
        it.param, it.table, it.mean = data_of(param), data_of(self.table), data_of(self.mean)
        it.power, it.sum = <const double *>data_of(powers), <const double *>data_of(sums)
        it.margin, it.done = data_of(self.memory[2]), <int32_t *>data_of(self.memory[3])

    def fill(self, int num_threads):
        """Table and mean at the present parameters; returns their mean loss."""
        loss, gradient = self.objective._evaluate(self.param, None, True, num_threads, self.table)
        with np.errstate(over="ignore"):
            self.mean[...] = gradient
        return loss

    def run(self, cnp.ndarray order, Py_ssize_t first, Py_ssize_t n_samples, double loss):
        """One step for each sample; returns the number of steps and why it ended. Losses are added to `loss`."""
        self.objective._check_places()
        self.it.loss = loss
        self.it.samples = batch_of(order, first, min(n_samples, self.longest))
        with nogil:
            run_reduced(&self.it)
        return self.it.n_done, self.it.end

    @property
    def loss(self):
        """What was given plus the losses of the last stretch, each before its step."""
        return self.it.loss
