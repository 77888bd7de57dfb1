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

cimport numpy as cnp
import numpy as np

from ._csrc cimport fo_clear_bits, fo_set_bits

cnp.import_array()


cdef extern from "numpy/arrayobject.h":
    object PyArray_NewFromDescr(type subtype, cnp.PyArray_Descr *descr, int ndim, const cnp.npy_intp *dims,
                                const cnp.npy_intp *strides, void *data, int flags, PyObject *prototype)


cdef void reach(array_t *array, uintptr_t *start, uintptr_t *stop) noexcept:
    """The addresses from the first to the last byte of an array; those of nothing if it is empty."""
    cdef int axis
    cdef Py_ssize_t way
    start[0] = <uintptr_t>memory_of(array)
    stop[0] = start[0] + cnp.PyArray_ITEMSIZE(<cnp.ndarray>array)
    for axis in range(n_axes_of(array)):
        if shape_of(array)[axis] == 0:
            start[0] = stop[0] = 0
            return
        way = (shape_of(array)[axis] - 1) * strides_of(array)[axis]
        if way < 0:
            start[0] += way
        else:
            stop[0] += way


cdef bint inside(array_t *array, array_t *owner) noexcept:
    """Whether the memory of an array, if it is not empty, is part of that of another."""
    cdef uintptr_t start, stop, first, last
    reach(array, &start, &stop)
    reach(owner, &first, &last)
    return start == stop or (first <= start and stop <= last)


cdef cnp.ndarray view_on(cnp.ndarray array, object base):
    """A view of an array with another base; made without code of a subclass."""
    cdef cnp.PyArray_Descr *descr = cnp.PyArray_DESCR(array)
    Py_INCREF(<object>descr)              # the new array takes this reference
    view = PyArray_NewFromDescr(
        cnp.ndarray, descr, cnp.PyArray_NDIM(array), cnp.PyArray_DIMS(array), cnp.PyArray_STRIDES(array),
        cnp.PyArray_DATA(array), cnp.NPY_ARRAY_WRITEABLE if has_flags(array, cnp.NPY_ARRAY_WRITEABLE) else 0, NULL,
    )
    cnp.set_array_base(view, base)
    return view


cpdef cnp.ndarray base_view(object array):
    """An ndarray, of no subclass, with memory and layout of an array; its base is what owns the memory."""
    cdef array_t *owner = owner_of(<array_t *><cnp.ndarray?>array)
    return view_on(<cnp.ndarray>array, <object>(<PyObject *>owner if base_of(owner) == NULL else base_of(owner)))


def is_intact(cnp.ndarray array not None):
    """Whether the memory of a view is still there."""
    return inside_its_memory(array)


@cython.no_gc
cdef class Memory:
    """Owns memory that views lead to, and leads on to nothing: the garbage collector does not know its array either."""

    cdef cnp.ndarray array

    def __cinit__(self, cnp.ndarray array not None):
        self.array = array


def sealed(cnp.ndarray array not None):
    """A view of an array that nobody else has, so that its memory stays as long as there are views of it."""
    return view_on(array, Memory(<object><PyObject *>owner_of(<array_t *>array)))


def read_only(cnp.ndarray array not None):
    """A sealed view that nobody can make writable."""
    view = sealed(array)
    view.flags.writeable = False
    return view


def frozen(cnp.ndarray array not None):
    """A copy, in C order, that stays as it is: nobody else has its memory, and nobody can make it writable."""
    return read_only(np.array(base_view(array), order="C", copy=True))


def is_sealed(cnp.ndarray array not None):
    """Whether an array is a view of memory that nobody can resize."""
    cdef PyObject *base = base_of(<array_t *>array)
    return base != NULL and type(<object>base) is Memory


def is_frozen(cnp.ndarray array not None):
    """Whether an array is a frozen copy."""
    return is_sealed(array) and not array.flags.writeable


cdef class Held:
    """An array of the caller that was bound, and what it was then: `is_unchanged` compares the two."""

    def __cinit__(self, array):
        self.array, self.view = array, base_view(array)

    @property
    def now_and_before(self):
        """The array, and what it was; None if it has stayed like that."""
        return None if is_unchanged(self) else (self.array, self.view)


cdef Pins first_in_use = None         # the first of the Pins that hold any arrays at present
cdef cython.pymutex in_use            # held while these are read or written: there may be no interpreter lock


cdef bint is_pinned(array_t *owner, Pins but):
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
    """Keeps arrays from giving their memory away, by a flag, as if it were not theirs: NumPy refuses to resize them.

    A weak reference to an array would do, too, but takes longer to make than the step of a small parameter.
    """

    def __dealloc__(self):
        PyMem_Free(self.pins)

    cdef int reserve(self, Py_ssize_t n) except -1:
        """Make room for n arrays in all."""
        cdef pin_t *grown
        if n > self.room:
            with in_use:                      # others read those that are in use already
                grown = <pin_t *>PyMem_Realloc(self.pins, n * sizeof(pin_t))
                if grown != NULL:
                    self.pins, self.room = grown, n
            if grown == NULL:
                raise MemoryError()
        return 0

    cdef void add(self, cnp.ndarray array) noexcept:
        """Pin the memory of an array, for which there is room."""
        global first_in_use
        cdef array_t *owner = owner_of(<array_t *>array)
        with in_use:
            if not has_flags(<cnp.ndarray>owner, cnp.NPY_ARRAY_OWNDATA) and not is_pinned(owner, self):
                return
            if self.n == 0:
                self.next_in_use, first_in_use = first_in_use, self
            fo_clear_bits(&(<array_fields *>owner).flags, cnp.NPY_ARRAY_OWNDATA)
            Py_INCREF(<object><PyObject *>owner)
            self.pins[self.n].owner, self.pins[self.n].data = owner, memory_of(owner)
            self.n += 1

    cdef void release(self) noexcept:
        cdef Py_ssize_t k, n = self.n
        if n == 0:
            return
        with in_use:
            self.leave_those_in_use()
            self.n = 0
            for k in range(n):
                owner = self.pins[k].owner
                unmoved = memory_of(owner) == self.pins[k].data  # else this memory was replaced, and leaks
                if unmoved and not is_pinned(owner, self):
                    fo_set_bits(&(<array_fields *>owner).flags, cnp.NPY_ARRAY_OWNDATA)
        for k in range(n):                    # which may run anybody's code
            Py_DECREF(<object><PyObject *>self.pins[k].owner)

    cdef void leave_those_in_use(self) noexcept:
        global first_in_use
        cdef Pins each
        if first_in_use is self:
            first_in_use = self.next_in_use
        else:
            each = first_in_use
            while each.next_in_use is not self:
                each = each.next_in_use
            each.next_in_use = self.next_in_use
        self.next_in_use = None


cdef class Pinned:
    """A context in which arrays keep their memory: for work on views of it between calls of C.

    Parameters
    ----------
    arrays : iterable of ndarrays
    """

    cdef Pins pins
    cdef list views

    def __cinit__(self, arrays):
        self.pins, self.views = Pins(), [base_view(array) for array in arrays]

    def __enter__(self):
        self.pins.reserve(len(self.views))
        for view in self.views:
            self.pins.add(view)
        return self

    def __exit__(self, *error):
        self.pins.release()
