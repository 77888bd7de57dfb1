"""Compiled objectives: a scipy.LowLevelCallable as a function of NumPy arrays.

SciPy keeps such a function in a capsule whose name is its signature and whose context is its user data.
"""

import re

from cpython.pycapsule cimport PyCapsule_GetContext, PyCapsule_GetName, PyCapsule_GetPointer
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t

cimport numpy as cnp
import numpy as np

from .. import _validation

cnp.import_array()

# The pointers are to float or double; only how many there are decides the shape of the call.
ctypedef double (*objective)(ptrdiff_t, const void *, void *, void *) noexcept nogil
ctypedef double (*batch_objective)(ptrdiff_t, const void *, ptrdiff_t, const int64_t *, void *, void *) noexcept nogil

INTEGER = "integer"
WITHOUT_BATCH = "double (integer, {0} *, {0} *, void *)"
WITH_BATCH = "double (integer, {0} *, integer, integer *, {0} *, void *)"
SPELLINGS = ["long long", "long", "intptr_t", "ptrdiff_t", "int64_t", "Py_ssize_t", "ssize_t", "npy_intp", "npy_int64"]
"""Of a signed integer of 64 bits, which all of them have where `long` does, or are not used for it."""


def normal_form(str signature):
    """A signature with one spelling of each type."""
    text = re.sub(r"\bconst\b", " ", signature)
    text = re.sub(r"\b(?:__pyx_t_\w*_)?(?:" + "|".join(SPELLINGS) + r")\b", INTEGER, text)
    text = re.sub(r"\s*([(),*])\s*", r"\1", re.sub(r"\s+", " ", text.strip()))
    return text.replace("(", " (", 1).replace(",", ", ").replace("*", " *").replace("* *", "**")


cdef class NativeObjective:
    """Calls a compiled objective.

    Parameters
    ----------
    function : scipy.LowLevelCallable
        Of one of the two signatures in docs/native_objectives.md.
    dtype : dtype
        float32 or float64: of the parameters and the gradient.
    """

    cdef object function              # keeps code and user data alive
    cdef void *pointer
    cdef void *user_data
    cdef readonly bint takes_batch
    cdef int typenum

    def __cinit__(self, function, dtype):
        capsule = tuple.__getitem__(function, 0)  # indexing itself is forbidden by the class
        cdef const char *name = PyCapsule_GetName(capsule)
        signature = name.decode() if name != NULL else ""
        real = "double" if np.dtype(dtype) == np.float64 else "float"
        accepted = [WITHOUT_BATCH.format(real), WITH_BATCH.format(real)]
        if normal_form(signature) not in accepted:
            _validation.native.refuse_signature(signature, real)
        self.takes_batch = normal_form(signature) == accepted[1]
        self.typenum = np.dtype(dtype).num
        self.function = function
        self.pointer = PyCapsule_GetPointer(capsule, name)
        self.user_data = PyCapsule_GetContext(capsule)

    def __call__(self, cnp.ndarray x not None, cnp.ndarray gradient not None, cnp.ndarray index=None):
        """The value at x; all of `gradient` is written."""
        cdef const void *at = cnp.PyArray_DATA(x)
        cdef void *to = cnp.PyArray_DATA(gradient)
        cdef const int64_t *batch = NULL
        cdef ptrdiff_t n = cnp.PyArray_SIZE(x), n_batch = 0
        cdef double value
        self.check(x, self.typenum)
        self.check(gradient, self.typenum)
        if cnp.PyArray_SIZE(gradient) != n:
            raise ValueError(f"a native objective takes a gradient of {n} entries, got {gradient.size}.")
        if index is not None:
            self.check(index, cnp.NPY_INT64)
            batch, n_batch = <const int64_t *>cnp.PyArray_DATA(index), cnp.PyArray_SIZE(index)
        with nogil:
            if self.takes_batch:
                value = (<batch_objective>self.pointer)(n, at, n_batch, batch, to, self.user_data)
            else:
                value = (<objective>self.pointer)(n, at, to, self.user_data)
        return value

    cdef int check(self, cnp.ndarray array, int typenum) except -1:
        if cnp.PyArray_TYPE(array) != typenum or not cnp.PyArray_IS_C_CONTIGUOUS(array):
            raise TypeError(f"a native objective takes contiguous arrays of its dtypes, got {array.dtype}.")
        return 0
