"""Typed Cython that looks at what an objective gives as its gradient: once per iteration, so that it must be quick."""

from libc.stdint cimport uintptr_t

cimport numpy as cnp

from .._validation import minimize as validation

from .._memory cimport is_behaved

cnp.import_array()


cdef bint begins_in(cnp.ndarray gradient, cnp.ndarray x) noexcept:
    """Whether a gradient begins in the memory of x: what the objective gave is the x that it was given."""
    start, first = <uintptr_t>cnp.PyArray_DATA(gradient), <uintptr_t>cnp.PyArray_DATA(x)
    return first <= start < first + cnp.PyArray_NBYTES(x)


def as_gradient(object given, cnp.ndarray x not None):
    """What the objective gave as a gradient, in dtype and shape of x where that can be; a copy of what is x itself."""
    cdef cnp.ndarray gradient
    if cnp.PyArray_CheckExact(given):
        gradient = <cnp.ndarray>given
        if (cnp.PyArray_TYPE(gradient) == cnp.PyArray_TYPE(x) and is_behaved(gradient)
                and cnp.PyArray_SAMESHAPE(gradient, x)):
            return gradient.copy() if begins_in(gradient, x) else gradient
    return validation.gradient(given, x)
