# What C may read and write: see _memory.pyx.
from cpython.object cimport PyObject

cimport numpy as cnp


cdef struct pin:
    PyObject *owner                   # a reference is held
    void *data                        # its memory


cdef class Held:
    cdef readonly object array        # the caller's own
    cdef cnp.ndarray view             # of what it was when it was bound; nobody else has it

    cdef bint unchanged(self) noexcept


cdef class Pins:
    cdef pin *pins                    # n of them are in use
    cdef Py_ssize_t n, room
    cdef Pins next_in_use             # of all that hold any arrays at present

    cdef int reserve(self, Py_ssize_t n) except -1
    cdef void add(self, cnp.ndarray array) noexcept
    cdef void release(self) noexcept


cpdef cnp.ndarray base_view(object array)
cdef bint inside_its_memory(cnp.ndarray array) noexcept
