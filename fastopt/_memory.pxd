# What C may read and write: see _memory.pyx.
from cpython.object cimport PyObject
from libc.stdint cimport uintptr_t

cimport numpy as cnp

from ._csrc cimport fo_peek


cdef extern from "numpy/ndarraytypes.h":
    ctypedef struct array_fields "PyArrayObject_fields":
        char *data
        int flags


# The same functions of NumPy as in its own declarations, but of borrowed pointers: a step on a few numbers takes no
# longer than counting references.
cdef extern from "numpy/arrayobject.h":
    ctypedef struct array_t "PyArrayObject":
        pass
    bint is_array "PyArray_Check"(PyObject *any_object) noexcept
    PyObject *base_of "PyArray_BASE"(array_t *array) noexcept
    void *memory_of "PyArray_DATA"(array_t *array) noexcept
    int n_axes_of "PyArray_NDIM"(array_t *array) noexcept
    const cnp.npy_intp *shape_of "PyArray_DIMS"(array_t *array) noexcept
    const cnp.npy_intp *strides_of "PyArray_STRIDES"(array_t *array) noexcept
    PyObject *dtype_of "PyArray_DESCR"(array_t *array) noexcept
    bint same_dtypes "PyArray_EquivTypes"(PyObject *one, PyObject *other) noexcept


cdef extern from "Python.h":
    bint is_memoryview "PyMemoryView_Check"(PyObject *any_object) noexcept
    Py_buffer *exporter_of "PyMemoryView_GET_BUFFER"(PyObject *view) noexcept

    ctypedef struct Py_buffer:
        PyObject *obj


cdef struct pin_t:
    array_t *owner                    # a reference is held
    void *data                        # its memory


cdef class Held:
    cdef readonly object array        # the caller's own
    cdef cnp.ndarray view             # of what it was when it was bound; nobody else has it


cdef class Pins:
    cdef pin_t *pins                  # n of them are in use
    cdef Py_ssize_t n, room
    cdef Pins next_in_use             # of all that hold any arrays at present

    cdef int reserve(self, Py_ssize_t n) except -1
    cdef void add(self, cnp.ndarray array) noexcept
    cdef void release(self) noexcept
    cdef void leave_those_in_use(self) noexcept


cpdef cnp.ndarray base_view(object array)
cdef bint inside(array_t *array, array_t *owner) noexcept


cdef inline array_t *owner_of(array_t *array) noexcept:
    """The last array in the chain of bases: it owns the memory, or has it from another kind of object."""
    cdef PyObject *base = base_of(array)
    while base != NULL:
        if is_memoryview(base):
            base = exporter_of(base).obj
        if base == NULL or not is_array(base):
            break
        array = <array_t *>base
        base = base_of(array)
    return array


cdef inline bint has_flags(cnp.ndarray array, int flags) noexcept:
    """Whether an array has all of these flags. Other threads may pin it or let it go meanwhile: a flag, too."""
    return fo_peek(&(<array_fields *><PyObject *>array).flags) & flags == flags


cdef inline bint is_behaved(cnp.ndarray array) noexcept:
    """Whether numbers can be read where they are: aligned, and in the byte order of this machine."""
    return has_flags(array, cnp.NPY_ARRAY_ALIGNED) and cnp.PyArray_ISNOTSWAPPED(array)


cdef inline bint inside_its_memory(cnp.ndarray array) noexcept:
    """Whether all of an array lies in the memory that its owner has now: it may have been resized."""
    cdef array_t *owner = owner_of(<array_t *>array)
    return owner == <array_t *>array or inside(<array_t *>array, owner)


cdef inline bint is_unchanged(Held held) noexcept:
    """Whether an array of the caller is what it was when it was bound."""
    cdef array_t *array = <array_t *><PyObject *>held.array
    cdef array_t *view = <array_t *>held.view
    cdef array_t *owner = owner_of(view)
    cdef int axis, n_axes = n_axes_of(view)
    if memory_of(array) != memory_of(view) or n_axes_of(array) != n_axes:
        return False
    for axis in range(n_axes):
        if shape_of(array)[axis] != shape_of(view)[axis] or strides_of(array)[axis] != strides_of(view)[axis]:
            return False
    if dtype_of(array) != dtype_of(view) and not same_dtypes(dtype_of(array), dtype_of(view)):
        return False
    return owner == array or owner == view or inside(view, owner)
