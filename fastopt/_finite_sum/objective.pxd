# The objects that own the data of an objective.
from .._csrc cimport fo_batch, fo_objective


cdef class FiniteSum:
    cdef fo_objective it
    cdef dict owned                   # the caller's arrays by name: kept alive, and looked at again before each use
    cdef dict places                  # where they were, and how large, when they were bound
    cdef object labels, weights       # kept alive; nobody else has them

    cpdef int _check_memory(self) except -1
    cdef fo_batch batch(self, object index)
