"""Typed Cython between an epoch of a built-in objective and its C loops: memory and tables, no maths over samples.

An epoch is run in segments of consecutive batches. After a segment lagged updates of columns that no sample touches
may be outstanding (csrc/finite_sum/lagged_penalty.h): a flush makes them, and then Python may look at the parameters.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport INFINITY, NAN, isfinite, log
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy

cimport numpy as cnp
import numpy as np

from .. import _validation

from .._memory import sealed

from .._core cimport (Engine, History, add_parts, carries, flush, flush_saga_svrg, flush_vw, forget_steps,
                      part_gradient, partition_workspace, prepare_scalars, run_saga_svrg, run_segment, run_vw,
                      start_worker, step_shared)
from .._csrc cimport (FO_BAD_GRADIENT, FO_BAD_LOSS, FO_CLOSED_FORM, FO_COMPLETE, FO_CSR64, FO_DENSE_SAMPLES, FO_FLOW,
                      FO_LAGGED_GRADIENT, FO_MOST_COLUMNS, FO_NO_PENALTY, FO_PROXIMAL, FO_RAISE, FO_SCALED_COLUMN_BYTES,
                      FO_MAX_CHUNKS, FO_MAX_SLOTS, FO_N_CARRIED, fo_array, fo_batch, fo_interrupt_poll,
                      fo_part_gradients, fo_penalty, fo_records, fo_saga_svrg, fo_segment, fo_sums, fo_touched, fo_vw,
                      fo_worker)
from .._memory cimport Held, Pins, base_view, is_unchanged
from .objective cimport FiniteSum

cnp.import_array()

PENALTIES = {
    "none": FO_NO_PENALTY,
    "proximal": FO_PROXIMAL,
    "flow": FO_FLOW,
    "closed_form": FO_CLOSED_FORM,
    "lagged_gradient": FO_LAGGED_GRADIENT,
}
COMPLETE, BAD_LOSS, BAD_GRADIENT = FO_COMPLETE, FO_BAD_LOSS, FO_BAD_GRADIENT

# There is a flush before the next step when the scale of all weights has fallen below this.
LEAST_SCALE = 2.0**-40

# There is one, too, after so many steps: they are counted in 32 bits.
MOST_KNOWN = 2**30

# A step that leaves less of a parameter ends a segment of SAGA and SVRG too soon for scaled weights to pay.
LEAST_SCALED_DECAY = 0.5

# Entries of CSR samples in a batch from which on collecting its columns on a second thread pays: some 10 us of work.
PIPELINE_ENTRIES = 2048


cdef void *data_of(cnp.ndarray array):
    return cnp.PyArray_DATA(array)


def aligned_workspace(nbytes):
    """Bytes that begin a cache line."""
    workspace = np.empty(nbytes + 64, np.uint8)
    first = -workspace.ctypes.data % 64
    return workspace[first : first + nbytes]


cdef cnp.ndarray batch_order(cnp.ndarray order, Py_ssize_t n, Py_ssize_t first, Py_ssize_t count):
    """An order whose samples [first, first + count) C can follow; None stands for that of the n samples."""
    if first < 0 or count < 0 or first + count > (n if order is None else cnp.PyArray_SIZE(order)):
        raise IndexError(f"samples {first} to {first + count} of {n} are needed.")
    if order is None:
        return None
    order = base_view(order)
    if count > 0:
        _validation.objectives.index_layout(order[first : first + count], n)
    return order


cdef fo_batch batch_of(cnp.ndarray order, Py_ssize_t first, Py_ssize_t n):
    """Samples from `first` on, or those at [first, first + n) of an order."""
    cdef fo_batch batch
    batch.sample = NULL
    if order is not None:
        batch.sample = <const int64_t *>cnp.PyArray_DATA(order) + first
    batch.first, batch.n, batch.more = first, n, 0
    return batch


cdef class InterruptPoll:
    """Lets Python's signal handlers run during a segment, and ends it where `stop_wanted()` says so or raises.

    `every` is the number of batches between two looks at the clock.
    """

    cdef fo_interrupt_poll it
    cdef public object stop_wanted
    cdef object raised

    def __cinit__(self, Py_ssize_t every):
        self.it.stop_wanted, self.it.context, self.it.every, self.it.left = ask, <void *>self, every, every

    def check(self):
        """Raise what ended the last segment."""
        raised, self.raised = self.raised, None
        if raised is not None:
            raise raised


cdef int ask(void *context) noexcept with gil:
    poll = <InterruptPoll>context
    try:
        return bool(poll.stop_wanted())
    except BaseException as error:                # KeyboardInterrupt among them
        poll.raised = error
        return 1


include "penalised_columns.pxi"
include "minibatch_segments.pxi"
include "shared_segments.pxi"
include "sample_segments.pxi"
include "saga_svrg_segments.pxi"
include "vw_segments.pxi"
