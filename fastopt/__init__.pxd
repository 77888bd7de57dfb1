# `cimport fastopt`: steps of optimizers without the interpreter. What each does is said in the header, which is found
# with `fastopt.get_include()`; nothing is linked.
from libc.stdint cimport int64_t


cdef extern from "fastopt.h":
    ctypedef struct fo_handle:
        pass

    fo_handle *fo_handle_of(object optimizer) except NULL


cdef extern from "fastopt.h" nogil:
    enum:
        FASTOPT_INTERFACE_VERSION
        FO_STATUS_OK
        FO_STATUS_BUSY
        FO_STATUS_BAD_ARGUMENT
        FO_STATUS_BAD_INDEX
        FO_STATUS_NONFINITE
        FO_STATUS_READ_ONLY
        FO_STATUS_MOVED
        FO_STATUS_OVERLAP
        FO_STATUS_NO_MEMORY
        FO_STATUS_REFUSED

    int fo_step_dense(fo_handle *it, const void *const *grads)
    int fo_step_rows(fo_handle *it, Py_ssize_t array, const void *indices, int index64, Py_ssize_t n, const void *rows,
                     int unique)
    int fo_catch_up(fo_handle *it, Py_ssize_t array, const void *indices, int index64, Py_ssize_t n)
    double fo_learning_rate(fo_handle *it)
    int fo_set_learning_rate(fo_handle *it, double rate)
    int64_t fo_step_count(const fo_handle *it)
    double fo_last_norm(const fo_handle *it)
    int fo_measure(fo_handle *it, const void *const *grads, double *norm, int *finite)
