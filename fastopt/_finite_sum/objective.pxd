# The objects that own the data of an objective.
cimport numpy as cnp

from .._csrc cimport fo_batch, fo_objective
from .._memory cimport Pins


cdef class Samples:
    cdef fo_objective it              # of the samples alone
    cdef readonly object X, own
    cdef dict held                    # the caller's arrays by name

    cdef int bind_dense(self, X) except -1
    cdef int bind_csr(self, X) except -1
    cdef int check(self) except -1
    cdef int pin(self, Pins pins) except -1


cdef class FiniteSum:
    cdef fo_objective it
    cdef int begun, bound             # atomic: whether data are being bound, and whether all are
    cdef Samples samples
    cdef object labels, weights       # frozen
    cdef object linear_part           # frozen, or None
    cdef readonly double l2, l1
    cdef readonly bint fit_intercept
    cdef readonly Py_ssize_t n_outputs, n_samples, n_features, n_parameters

    cpdef int _check_initialised(self) except -1
    cpdef int _check_memory(self) except -1
    cdef fo_batch batch(self, cnp.ndarray index) except *
