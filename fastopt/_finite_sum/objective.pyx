"""Typed Cython between the data of an objective and the C kernels: no maths and no messages here."""

from libc.stdint cimport int64_t
from libc.string cimport memset

cimport numpy as cnp
import numpy as np

from .. import _core, _validation

from .._core cimport evaluate, find_loss, gradient_workspace, largest_norm, validate_samples
from .._csrc cimport (FO_CSR32, FO_CSR64, FO_DENSE_SAMPLES, FO_NOT_ASCENDING, FO_NOT_FINITE, FO_OUT_OF_RANGE, fo_batch,
                      fo_objective)

cnp.import_array()

FAULTS = {FO_NOT_ASCENDING: "not ascending", FO_NOT_FINITE: "not finite", FO_OUT_OF_RANGE: "out of range"}


cdef tuple memory_of(cnp.ndarray array):
    return <Py_ssize_t>cnp.PyArray_DATA(array), cnp.PyArray_SIZE(array)


cdef fo_objective samples_of(X):
    """An objective of samples alone; keeps nothing alive."""
    cdef fo_objective it
    memset(&it, 0, sizeof(it))
    it.n_samples, it.n_features = X.shape
    it.dtype = _core.dtype_names().index(X.dtype.name)
    if isinstance(X, np.ndarray):
        it.format = FO_DENSE_SAMPLES
        it.data = cnp.PyArray_DATA(<cnp.ndarray?>X)
        it.sample_stride = X.strides[0] // X.itemsize
    else:
        it.format = FO_CSR64 if X.indices.itemsize == 8 else FO_CSR32
        it.data = cnp.PyArray_DATA(<cnp.ndarray?>X.data)
        it.indices = cnp.PyArray_DATA(<cnp.ndarray?>X.indices)
        it.indptr = cnp.PyArray_DATA(<cnp.ndarray?>X.indptr)
    return it


def faults(X, int num_threads):
    """What is wrong with the contents of samples whose layout has been checked: some of the values of FAULTS."""
    cdef fo_objective it = samples_of(X)
    cdef int found
    with nogil:
        found = validate_samples(&it, num_threads)
    return {fault for bit, fault in FAULTS.items() if found & bit}


cdef class FiniteSum:
    """Binds validated data to a loss; base class of the objectives."""

    def _bind(self, X, loss, cnp.ndarray labels, cnp.ndarray weights, Py_ssize_t n_outputs, bint intercept):
        """Take the data, which are read only and kept alive. `loss` is its name and its own parameter."""
        name, parameter = loss
        self.it = samples_of(X)
        self.it.n_outputs, self.it.intercept = n_outputs, intercept
        self.it.label, self.it.weight = cnp.PyArray_DATA(labels), cnp.PyArray_DATA(weights)
        self.it.loss, self.it.loss_parameter = find_loss(name.encode()), parameter
        self.labels, self.weights = labels, weights
        if isinstance(X, np.ndarray):
            self.owned = {"X": X}
        else:
            self.owned = {"X.data": X.data, "X.indices": X.indices, "X.indptr": X.indptr}
        self.places = {name: memory_of(array) for name, array in self.owned.items()}

    cpdef int _check_memory(self) except -1:
        """Refuse arrays that the caller has resized: their memory is no longer what was bound."""
        for name, array in self.owned.items():
            if memory_of(<cnp.ndarray>array) != self.places[name]:
                _validation.parameters.refuse_moved(f"`{name}`", "objective")
        return 0

    cdef fo_batch batch(self, object index):
        """All samples, or those at an int64 array."""
        cdef fo_batch batch
        batch.first, batch.more, batch.sample, batch.n = 0, 0, NULL, self.it.n_samples
        if index is not None:
            batch.sample = <const int64_t *>cnp.PyArray_DATA(<cnp.ndarray?>index)
            batch.n = cnp.PyArray_SIZE(<cnp.ndarray>index)
        return batch

    def _evaluate(self, cnp.ndarray w, cnp.ndarray index, bint want_gradient, int num_threads,
                  cnp.ndarray derivatives=None):
        """Mean loss and, if it is wanted, its gradient in float64; without penalties."""
        cdef fo_batch batch = self.batch(index)
        cdef double total
        cdef double *gradient = NULL
        cdef void *derivative
        workspace = None
        self._check_memory()
        if derivatives is None:
            derivatives = np.empty(batch.n * self.it.n_outputs, w.dtype)
        derivative = cnp.PyArray_DATA(derivatives)
        if want_gradient:
            workspace = np.empty(gradient_workspace(&self.it, batch))
            gradient = <double *>cnp.PyArray_DATA(<cnp.ndarray>workspace)
        with nogil:
            total = evaluate(&self.it, cnp.PyArray_DATA(w), batch, derivative, gradient, num_threads)
        if workspace is None:
            return total / batch.n, None
        mean = workspace[: cnp.PyArray_SIZE(w)] / batch.n
        return total / batch.n, mean

    def _largest_norm(self, int num_threads):
        """The largest weight * (|x|^2, and 1 for an intercept) of a sample."""
        cdef double largest
        self._check_memory()
        with nogil:
            largest = largest_norm(&self.it, num_threads)
        return largest
