"""Typed Cython between the data of an objective and the C kernels: no maths and no messages here."""

from cpython.object cimport PyObject_GenericSetAttr
from libc.stdint cimport int64_t
from libc.string cimport memset

cimport numpy as cnp
import numpy as np

from .. import _core, _validation
from .._memory import frozen, is_frozen

from .._core cimport evaluate, find_loss, gradient_workspace, largest_norm, validate_samples
from .._csrc cimport (FO_CSR32, FO_CSR64, FO_DENSE_SAMPLES, FO_NOT_ASCENDING, FO_NOT_FINITE, FO_OUT_OF_RANGE, fo_batch,
                      fo_exchange, fo_load, fo_store)
from .._memory cimport Held, Pins, base_view, is_unchanged

cnp.import_array()

FAULTS = {FO_NOT_ASCENDING: "not ascending", FO_NOT_FINITE: "not finite", FO_OUT_OF_RANGE: "out of range"}


# Losses whose labels are places among the outputs.
FOLLOW_LABELS = ("softmax",)


cdef class Samples:
    """What C reads of a matrix of samples, whose layout has been checked.

    The numbers are read in place. The indices of CSR samples, which C follows, are copied, so that nobody can change
    them: docs/adr/0011-memory-of-the-caller.md has the reasons.

    Parameters
    ----------
    X : ndarray or CSR matrix
        Of no subclass.

    Attributes
    ----------
    X : ndarray or CSR matrix
        The same.
    own : ndarray or CSR matrix
        Made of the arrays that C reads.
    """

    def __cinit__(self, X):
        memset(&self.it, 0, sizeof(self.it))
        self.X = X
        if isinstance(X, np.ndarray):
            self.held = {"X": Held(X)}
            self.own = (<Held>self.held["X"]).view
            self.bind_dense(self.own)
        else:
            self.held = {f"X.{name}": Held(getattr(X, name)) for name in ("data", "indices", "indptr")}
            data, indices, indptr = [(<Held>held).view for held in self.held.values()]
            self.own = _validation.objectives.csr_of(type(X), data, frozen(indices), frozen(indptr), X.shape)
            self.bind_csr(self.own)

    cdef int bind_dense(self, X) except -1:
        _validation.objectives.dense_layout(X)
        self.it.n_samples, self.it.n_features = X.shape
        self.it.dtype = _core.dtype_names().index(X.dtype.name)
        self.it.format = FO_DENSE_SAMPLES
        self.it.data = cnp.PyArray_DATA(<cnp.ndarray?>X)
        self.it.sample_stride = X.strides[0] // X.itemsize
        return 0

    cdef int bind_csr(self, X) except -1:
        _validation.objectives.csr_layout(X)
        self.it.n_samples, self.it.n_features = X.shape
        self.it.dtype = _core.dtype_names().index(X.dtype.name)
        self.it.format = FO_CSR64 if X.indices.itemsize == 8 else FO_CSR32
        self.it.data = cnp.PyArray_DATA(<cnp.ndarray?>X.data)
        self.it.indices = cnp.PyArray_DATA(<cnp.ndarray?>X.indices)
        self.it.indptr = cnp.PyArray_DATA(<cnp.ndarray?>X.indptr)
        return 0

    cdef int check(self) except -1:
        """Refuse arrays that are no longer what was bound, and a matrix that has been given other arrays."""
        for name, each in self.held.items():
            held = <Held>each
            now = self.X if name == "X" else getattr(self.X, name[2:])
            if now is not held.array:
                _validation.objectives.refuse_replaced(name)
            if not is_unchanged(held):
                _validation.parameters.refuse_moved(f"`{name}`", "objective", held.array, held.view)
        return 0

    cdef int pin(self, Pins pins) except -1:
        """Check, and keep the memory that C reads where it is."""
        self.check()
        pins.reserve(pins.n + len(self.held))
        for each in self.held.values():
            pins.add((<Held>each).view)
        return 0

    def faults(self, int num_threads):
        """What is wrong with the contents: some of the values of FAULTS."""
        cdef int found
        pins = Pins()
        self.pin(pins)
        try:
            with nogil:
                found = validate_samples(&self.it, num_threads)
        finally:
            pins.release()
        return {fault for bit, fault in FAULTS.items() if found & bit}


def faults(X, int num_threads):
    """What is wrong with the contents of samples whose layout has been checked: some of the values of FAULTS."""
    return Samples(X).faults(num_threads)


cdef class FiniteSum:
    """Binds validated data to a loss; base class of the objectives."""

    def _bind(self, Samples samples not None, loss, arrays, penalties, dict attributes not None):
        """Take the data.

        Parameters
        ----------
        samples : Samples
        loss : tuple
            Its name, its own parameter and the number of outputs.
        arrays : list of ndarrays
            In the dtype of the samples; frozen: labels, a vector or with a column for each output; weights; and, if
            there is a linear part, its entry for each parameter.
        penalties : tuple
            `l2`, `l1`, and whether there is an intercept, which has none.
        attributes : dict
            Those that the object is to have besides, by name.
        """
        name, parameter, outputs = loss
        cdef Py_ssize_t n_outputs = outputs
        cdef double loss_parameter = parameter, l2 = penalties[0], l1 = penalties[1]
        cdef bint fit_intercept = penalties[2]
        labels, weights, *more = arrays
        linear = more[0] if more else None
        n_samples, n_features = samples.it.n_samples, samples.it.n_features
        cdef Py_ssize_t n_parameters = (n_features + fit_intercept) * n_outputs
        cdef Py_ssize_t n_labels = 1 if name in FOLLOW_LABELS else n_outputs
        bound = {"labels": (labels, n_samples * n_labels), "weights": (weights, n_samples)}
        if linear is not None:
            bound["the linear part"] = linear, n_parameters
        for what, (array, size) in bound.items():
            _validation.objectives.frozen_layout(what, array, size, samples.own.dtype, is_frozen(array))
        if name in FOLLOW_LABELS:
            _validation.objectives.class_range(labels, n_outputs)
        if fo_exchange(&self.begun, 1):           # after all code of a subclass, which may have called this method
            _validation.optimizers.refuse_second_init(type(self).__name__)
        self.it = samples.it
        self.it.loss, self.it.loss_parameter = find_loss(name.encode()), loss_parameter
        self.it.n_outputs, self.it.n_labels, self.it.intercept = n_outputs, n_labels, fit_intercept
        self.it.label, self.it.weight = cnp.PyArray_DATA(<cnp.ndarray?>labels), cnp.PyArray_DATA(<cnp.ndarray?>weights)
        self.it.linear = NULL if linear is None else cnp.PyArray_DATA(<cnp.ndarray?>linear)
        self.n_outputs, self.l2, self.l1, self.fit_intercept = n_outputs, l2, l1, fit_intercept
        self.labels, self.weights = base_view(labels), base_view(weights)
        self.linear_part = None if linear is None else base_view(linear)
        self.n_samples, self.n_features, self.n_parameters = n_samples, n_features, n_parameters
        self.samples = samples
        for attribute, value in attributes.items():
            PyObject_GenericSetAttr(self, attribute, value)  # not __setattr__, which may be a subclass's
        fo_store(&self.bound, 1)                  # last: now all is there

    @property
    def X(self):
        """The samples, as they were given unless they had to be copied."""
        return self._samples.X

    @property
    def _bound(self):
        """Labels, weights and, if there is one, the linear part."""
        bound = self.labels, self.weights, self.linear_part
        return tuple([base_view(array) for array in bound if array is not None])

    @property
    def linear(self):
        """What is added to the objective as ``linear @ x``, in its dtype and read-only, or None."""
        self._check_initialised()
        return None if self.linear_part is None else base_view(self.linear_part)

    @property
    def dtype(self):
        """float32 or float64."""
        return self._samples.own.dtype

    @property
    def _samples(self):
        self._check_initialised()
        return self.samples

    cpdef int _check_initialised(self) except -1:
        """Refuse an object that was made without its __init__."""
        if not fo_load(&self.bound):
            _validation.optimizers.refuse_uninitialised(type(self).__name__)
        return 0

    def _check_first_init(self):
        """Refuse to make an object again, before anything of it is set."""
        if fo_load(&self.begun):
            _validation.optimizers.refuse_second_init(type(self).__name__)

    cpdef int _check_memory(self) except -1:
        """Refuse arrays that are no longer what was bound."""
        self._check_initialised()
        return self.samples.check()

    cdef fo_batch batch(self, cnp.ndarray index) except *:
        """All samples, or those at an int64 array, which the caller keeps."""
        cdef fo_batch batch
        batch.first, batch.more, batch.sample, batch.n = 0, 0, NULL, self.it.n_samples
        if index is not None:
            _validation.objectives.index_layout(index, self.n_samples)
            batch.sample = <const int64_t *>cnp.PyArray_DATA(index)
            batch.n = cnp.PyArray_SIZE(index)
        return batch

    def _evaluate(self, cnp.ndarray w not None, cnp.ndarray index, bint want_gradient, int num_threads,
                  cnp.ndarray derivatives=None):
        """Mean loss and, if it is wanted, its gradient in float64; without penalties and the linear part."""
        _validation.objectives.some_samples(self.n_samples)
        total, gradient = self._sum(w, index, want_gradient, num_threads, derivatives)
        n = self.n_samples if index is None else len(index)
        return total / n, None if gradient is None else gradient / n

    def _sum(self, cnp.ndarray w not None, cnp.ndarray index, bint want_gradient, int num_threads,
             cnp.ndarray derivatives=None):
        """The sums of which `_evaluate` returns the means."""
        self._check_initialised()
        cdef fo_batch batch = self.batch(index)
        cdef double total
        cdef double *gradient = NULL
        cdef void *derivative
        workspace = None
        pins = Pins()
        if derivatives is None:
            derivatives = np.empty(batch.n * self.it.n_outputs, w.dtype)
        if want_gradient:
            workspace = np.empty(gradient_workspace(&self.it, batch))
            gradient = <double *>cnp.PyArray_DATA(<cnp.ndarray?>workspace)
        _validation.objectives.own_layout(w, self.n_parameters, self.dtype)
        _validation.objectives.own_layout(derivatives, batch.n * self.it.n_outputs, self.dtype)
        derivative = cnp.PyArray_DATA(derivatives)
        self.samples.pin(pins)
        pins.reserve(pins.n + 3)
        for array in (w, derivatives):
            pins.add(array)
        if index is not None:
            pins.add(index)
        try:
            with nogil:
                total = evaluate(&self.it, cnp.PyArray_DATA(w), batch, derivative, gradient, max(num_threads, 1))
        finally:
            pins.release()
        return total, None if workspace is None else workspace[: cnp.PyArray_SIZE(w)]

    def _largest_norm(self, int num_threads):
        """The largest weight * (|x|^2, and 1 for an intercept) of a sample."""
        cdef double largest
        self._check_initialised()
        pins = Pins()
        self.samples.pin(pins)
        try:
            with nogil:
                largest = largest_norm(&self.it, num_threads)
        finally:
            pins.release()
        return largest
