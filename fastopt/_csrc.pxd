# The C ABI of csrc/objective.h.
from libc.stdint cimport int64_t


cdef extern from "finite_sum/objective.h" nogil:
    ctypedef struct fo_loss:
        const char *name

    ctypedef struct fo_objective:
        Py_ssize_t n_samples, n_features, n_outputs
        int dtype, sparse, wide, intercept
        const void *value
        Py_ssize_t row_stride
        const void *column
        const void *row_start
        const void *label
        const void *weight
        const fo_loss *loss
        double shape

    ctypedef struct fo_batch:
        const int64_t *sample
        Py_ssize_t first, n, more

    enum:
        FO_NOT_FINITE
        FO_OUT_OF_RANGE
        FO_NOT_ASCENDING

    const fo_loss *fo_losses[]
    int fo_inspect(const fo_objective *objective, int num_threads)
    double fo_largest_norm(const fo_objective *objective, int num_threads)
    size_t fo_evaluation_room(const fo_objective *objective, fo_batch batch)
    double fo_evaluate(const fo_objective *objective, const void *w, fo_batch batch, void *derivative,
                       double *gradient, int num_threads)
