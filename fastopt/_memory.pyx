"""Memory of NumPy arrays while C works on it.

An array is an object of its own, which its owner may resize, re-type or replace at any time, also from a subclass, a
signal handler or another thread. Three things make sure that C reads and writes only what it was given:

- C is given a `base_view`: an ndarray that nobody else has, so that its address, shape, strides and dtype stay. For
  arrays that are bound once, a `Held` compares the caller's array with it before each use.
- Right before C runs, `inside_its_memory` looks whether the memory is still there; no Python code runs in between.
- While C runs, `Pins` keep the arrays that own the memory from giving it away.

Memory that belongs to fastopt alone is `sealed`: views of it lead to no array that could be resized.
"""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport uintptr_t
from libc.string cimport memcmp

cimport numpy as cnp

cnp.import_array()


cdef extern from "numpy/arrayobject.h":
    object PyArray_NewFromDescr(type subtype, cnp.PyArray_Descr *descr, int ndim, const cnp.npy_intp *dims,
                                const cnp.npy_intp *strides, void *data, int flags, PyObject *prototype)


cdef inline cnp.ndarray owner_of(cnp.ndarray array):
    """The last array in the chain of bases: it owns the memory, or has it from another kind of object."""
    owner = array
    while cnp.PyArray_BASE(owner) != NULL and cnp.PyArray_Check(<object>cnp.PyArray_BASE(owner)):
        owner = <cnp.ndarray>cnp.PyArray_BASE(owner)
    return owner


cdef inline void reach(cnp.ndarray array, uintptr_t *start, uintptr_t *stop) noexcept:
    """The addresses from the first to the last byte of an array that is not empty."""
    cdef int axis
    cdef Py_ssize_t way
    start[0] = <uintptr_t>cnp.PyArray_DATA(array)
    stop[0] = start[0] + cnp.PyArray_ITEMSIZE(array)
    for axis in range(cnp.PyArray_NDIM(array)):
        way = (cnp.PyArray_DIM(array, axis) - 1) * cnp.PyArray_STRIDE(array, axis)
        if way < 0:
            start[0] += way
        else:
            stop[0] += way


cdef bint inside_its_memory(cnp.ndarray array) noexcept:
    """Whether all of an array lies in the memory that its owner has now: it may have been resized."""
    cdef uintptr_t start, stop, first, last
    if cnp.PyArray_BASE(array) == NULL:
        return True
    owner = owner_of(array)
    if owner is array or cnp.PyArray_SIZE(array) == 0:
        return True
    if cnp.PyArray_SIZE(owner) == 0:
        return False
    reach(array, &start, &stop)
    reach(owner, &first, &last)
    return first <= start and stop <= last


cdef cnp.ndarray view_on(cnp.ndarray array, object base):
    """A view of an array with another base; made without code of a subclass."""
    cdef cnp.PyArray_Descr *descr = cnp.PyArray_DESCR(array)
    Py_INCREF(<object>descr)              # the new array takes this reference
    view = PyArray_NewFromDescr(
        cnp.ndarray, descr, cnp.PyArray_NDIM(array), cnp.PyArray_DIMS(array), cnp.PyArray_STRIDES(array),
        cnp.PyArray_DATA(array), cnp.PyArray_FLAGS(array) & cnp.NPY_ARRAY_WRITEABLE, NULL,
    )
    cnp.set_array_base(view, base)
    return view


cpdef cnp.ndarray base_view(object array):
    """An ndarray, of no subclass, with memory and layout of an array; its base is what owns the memory."""
    owner = owner_of(<cnp.ndarray?>array)
    return view_on(<cnp.ndarray>array, owner if cnp.PyArray_BASE(owner) == NULL else <object>cnp.PyArray_BASE(owner))


@cython.no_gc
cdef class Memory:
    """Owns memory that views lead to, and leads on to nothing: the garbage collector does not know its array either."""

    cdef cnp.ndarray array

    def __cinit__(self, cnp.ndarray array not None):
        self.array = array


def sealed(cnp.ndarray array not None):
    """A view of an array that nobody else has, so that its memory stays as long as there are views of it."""
    return view_on(array, Memory(owner_of(array)))


def frozen(cnp.ndarray array not None):
    """The same of an array that is to stay as it is: nobody can make this view writable."""
    view = sealed(array)
    view.flags.writeable = False
    return view


def is_frozen(cnp.ndarray array not None):
    """Whether no Python code can write to the memory of an array, as with ``numpy.memmap(..., mode="r")``."""
    owner = owner_of(array)
    if array.flags.writeable or cnp.PyArray_BASE(owner) == NULL:
        return False
    try:
        return memoryview(<object>cnp.PyArray_BASE(owner)).readonly
    except TypeError:                         # not of bytes
        return type(<object>cnp.PyArray_BASE(owner)) is Memory


cdef class Held:
    """An array of the caller that was bound, and what it was then: `unchanged` compares the two."""

    def __cinit__(self, array):
        self.array, self.view = array, base_view(array)

    cdef bint unchanged(self) noexcept:
        cdef cnp.ndarray array = self.array, view = self.view
        cdef size_t nbytes = cnp.PyArray_NDIM(view) * sizeof(cnp.npy_intp)
        return (cnp.PyArray_DATA(array) == cnp.PyArray_DATA(view)
                and cnp.PyArray_NDIM(array) == cnp.PyArray_NDIM(view)
                and memcmp(cnp.PyArray_DIMS(array), cnp.PyArray_DIMS(view), nbytes) == 0
                and memcmp(cnp.PyArray_STRIDES(array), cnp.PyArray_STRIDES(view), nbytes) == 0
                and (cnp.PyArray_DESCR(array) == cnp.PyArray_DESCR(view)
                     or cnp.PyArray_EquivTypes(<cnp.dtype>cnp.PyArray_DESCR(array), <cnp.dtype>cnp.PyArray_DESCR(view)))
                and inside_its_memory(view))


cdef Pins first_in_use = None         # the first of the Pins that hold any arrays at present


cdef bint is_pinned(PyObject *owner, Pins but):
    """Whether any Pins but these hold an array: those of another thread."""
    cdef Py_ssize_t k
    each = first_in_use
    while each is not None:
        if each is not but:
            for k in range(each.n):
                if each.pins[k].owner == owner:
                    return True
        each = each.next_in_use
    return False


cdef class Pins:
    """Keeps arrays from giving their memory away, by a flag, as if it were not theirs: NumPy then refuses to resize them.

    A weak reference to an array would do, too, but takes longer to make than the step of a small parameter.
    """

    def __dealloc__(self):
        PyMem_Free(self.pins)

    cdef int reserve(self, Py_ssize_t n) except -1:
        """Make room for n arrays in all."""
        if n > self.room:
            grown = <pin *>PyMem_Realloc(self.pins, n * sizeof(pin))
            if grown == NULL:
                raise MemoryError()
            self.pins, self.room = grown, n
        return 0

    cdef void add(self, cnp.ndarray array) noexcept:
        """Pin the memory of an array, for which there is room."""
        global first_in_use
        owner = owner_of(array)
        if not cnp.PyArray_CHKFLAGS(owner, cnp.NPY_ARRAY_OWNDATA) and not is_pinned(<PyObject *>owner, self):
            return
        if self.n == 0:
            self.next_in_use, first_in_use = first_in_use, self
        cnp.PyArray_CLEARFLAGS(owner, cnp.NPY_ARRAY_OWNDATA)
        Py_INCREF(owner)
        self.pins[self.n].owner, self.pins[self.n].data = <PyObject *>owner, cnp.PyArray_DATA(owner)
        self.n += 1

    cdef void release(self) noexcept:
        global first_in_use
        cdef Pins each
        if self.n == 0:
            return
        if first_in_use is self:
            first_in_use = self.next_in_use
        else:
            each = first_in_use
            while each.next_in_use is not self:
                each = each.next_in_use
            each.next_in_use = self.next_in_use
        self.next_in_use = None
        while self.n > 0:
            self.n -= 1
            owner = <cnp.ndarray>self.pins[self.n].owner
            unmoved = cnp.PyArray_DATA(owner) == self.pins[self.n].data  # else this memory was replaced, and leaks
            if unmoved and not is_pinned(<PyObject *>owner, self):
                cnp.PyArray_ENABLEFLAGS(owner, cnp.NPY_ARRAY_OWNDATA)
            Py_DECREF(owner)
