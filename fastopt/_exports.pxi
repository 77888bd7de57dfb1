# Part of _core.pyx: functions of C for the other extension modules, since C is linked into this one only.

cdef void parallel_for(Py_ssize_t n, int num_threads, fo_task *task, const void *context) noexcept nogil:
    fo_parallel_for(n, num_threads, task, context)


cdef int useful_threads(Py_ssize_t nbytes, int num_threads) noexcept nogil:
    return fo_useful_threads(nbytes, num_threads)


cdef const fo_loss *find_loss(bytes name) except NULL:
    cdef Py_ssize_t k = 0
    while fo_losses[k] != NULL:
        if fo_losses[k].name == name:
            return fo_losses[k]
        k += 1
    raise KeyError(name.decode())


cdef int inspect_samples(const fo_objective *objective, int num_threads) noexcept nogil:
    return fo_inspect(objective, num_threads)


cdef double largest_norm(const fo_objective *objective, int num_threads) noexcept nogil:
    return fo_largest_norm(objective, num_threads)


cdef size_t evaluation_room(const fo_objective *objective, fo_batch batch) noexcept nogil:
    return fo_evaluation_room(objective, batch)


cdef void run_stretch(const fo_stretch *stretch, fo_worker *workers) noexcept nogil:
    fo_run_stretch(stretch, workers)


cdef void settle(const fo_stretch *stretch, fo_worker *worker, int64_t t, int num_threads) noexcept nogil:
    fo_settle(stretch, worker, t, num_threads)


cdef void run_reduced(fo_reduced *it) noexcept nogil:
    fo_run_reduced(it)


cdef size_t arranging_room(const fo_array *array) noexcept nogil:
    return fo_arranging_room(array)


cdef double evaluate(const fo_objective *objective, const void *w, fo_batch batch, void *derivative, double *gradient,
                     int num_threads) noexcept nogil:
    return fo_evaluate(objective, w, batch, derivative, gradient, num_threads)
