"""Typed Cython that looks at what an objective gives as its gradient: once per iteration, so that it must be quick."""

cimport numpy as cnp

from .._validation import minimize as validation

cnp.import_array()


def as_gradient(object given, cnp.ndarray x):
    """What the objective gave as a gradient, in dtype and shape of x where that can be; a copy of what is x itself."""
    cdef cnp.ndarray gradient
    if cnp.PyArray_CheckExact(given):
        gradient = <cnp.ndarray>given
        if (cnp.PyArray_TYPE(gradient) == cnp.PyArray_TYPE(x) and cnp.PyArray_ISBEHAVED_RO(gradient)
                and cnp.PyArray_SAMESHAPE(gradient, x)):
            return gradient.copy() if cnp.PyArray_BASE(gradient) == <cnp.PyObject *>x else gradient
    return validation.gradient(given, x)
