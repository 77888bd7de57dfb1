# The objects that own the data of an objective.
from ._objective cimport fo_batch, fo_objective


cdef class Sum:
    cdef fo_objective it
    cdef tuple owned                  # keeps the arrays alive
    cdef object weights

    cdef fo_batch batch(self, object index)
