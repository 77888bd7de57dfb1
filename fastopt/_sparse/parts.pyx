"""Typed Cython that takes a sparse gradient apart: into plain arrays that nobody else has, before any is looked at.

The class of a gradient may be one of the caller's, whose attributes and methods run here and not later.
"""

cimport numpy as cnp
import numpy as np

from .. import _validation

from .._memory cimport base_view

cnp.import_array()


cdef cnp.ndarray plain(name, str attribute, array):
    if not cnp.PyArray_Check(array) or cnp.PyArray_NDIM(<cnp.ndarray>array) == 0:
        _validation.sparse_gradients.refuse_part(name, attribute, array)
    return base_view(array)


def described(grad):
    """In words, a RowSparse or its parts."""
    promise = ", unique" if grad.unique else ""
    return f"<RowSparse: {len(grad.indices):,} rows of shape {grad.rows.shape[1:]}, {grad.rows.dtype}{promise}>"


cdef class Rows:
    """What a step uses of a RowSparse."""

    cdef readonly cnp.ndarray indices, rows
    cdef readonly bint unique

    def __cinit__(self, name, grad):
        self.indices, self.rows = plain(name, ".indices", grad.indices), plain(name, ".rows", grad.rows)
        self.unique = grad.unique

    def arrays(self):
        """All arrays."""
        return self.indices, self.rows

    def __repr__(self):
        return described(self)


cdef class Compressed:
    """What a step uses of a gradient in CSR or CSC format."""

    cdef readonly str format
    cdef readonly tuple shape
    cdef readonly cnp.ndarray indptr, indices, data

    def __cinit__(self, name, grad):
        self.format, self.shape = str(grad.format), tuple([int(n) for n in grad.shape])
        self.indptr, self.indices = plain(name, ".indptr", grad.indptr), plain(name, ".indices", grad.indices)
        self.data = plain(name, ".data", grad.data)

    @property
    def dtype(self):
        return self.data.dtype

    def arrays(self):
        """All arrays."""
        return self.indptr, self.indices, self.data


cdef class Coordinates:
    """What a step uses of a gradient in COO format."""

    cdef readonly tuple shape, coords
    cdef readonly cnp.ndarray data

    def __cinit__(self, name, grad):
        self.shape = tuple([int(n) for n in grad.shape])
        self.coords = tuple([plain(name, ".coords", index) for index in grad.coords])
        self.data = plain(name, ".data", grad.data)

    @property
    def dtype(self):
        return self.data.dtype

    def arrays(self):
        """All arrays."""
        return *self.coords, self.data


def contiguous(cnp.ndarray array not None):
    """The array, or a copy of one that is not contiguous in C order and aligned."""
    if cnp.PyArray_IS_C_CONTIGUOUS(array) and cnp.PyArray_ISALIGNED(array):
        return array
    return np.array(array, order="C")
