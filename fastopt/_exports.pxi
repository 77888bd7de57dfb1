# Part of _core.pyx: functions of C for the other extension modules, since C is linked into this one only.

cdef void parallel_for(Py_ssize_t n, int num_threads, fo_task *task, const void *context) noexcept nogil:
    fo_parallel_for(n, num_threads, task, context)


cdef int useful_threads(Py_ssize_t nbytes, int num_threads) noexcept nogil:
    return fo_useful_threads(nbytes, num_threads)


cdef const fo_loss *find_loss(bytes name) except NULL:
    cdef const fo_loss *found = fo_find_loss(name)
    if found == NULL:
        raise KeyError(name.decode())
    return found


cdef int validate_samples(const fo_objective *objective, int num_threads) noexcept nogil:
    return fo_validate_samples(objective, num_threads)


cdef double largest_norm(const fo_objective *objective, int num_threads) noexcept nogil:
    return fo_largest_norm(objective, num_threads)


cdef size_t gradient_workspace(const fo_objective *objective, fo_batch batch) noexcept nogil:
    return fo_gradient_workspace(objective, batch)


cdef void start_worker(const fo_segment *segment, fo_worker *worker) noexcept nogil:
    fo_start_worker(segment, worker)


cdef double part_gradient(const fo_segment *segment, fo_worker *worker, Py_ssize_t n_mean) noexcept nogil:
    return fo_part_gradient(segment, worker, n_mean)


cdef void add_parts(const fo_segment *segment, fo_worker *worker, const fo_part_gradients *given) noexcept nogil:
    fo_add_parts(segment, worker, given)


cdef void step_shared(const fo_segment *segment, fo_worker *worker, Py_ssize_t n_mean, double loss) noexcept nogil:
    fo_step_shared(segment, worker, n_mean, loss)


cdef void run_segment(const fo_segment *segment, fo_worker *workers) noexcept nogil:
    fo_run_segment(segment, workers)


cdef void flush(const fo_segment *segment, fo_worker *worker, int64_t t, int num_threads) noexcept nogil:
    fo_flush(segment, worker, t, num_threads)


cdef void forget_steps(fo_history *history) noexcept nogil:
    fo_forget_steps(history)


cdef void prepare_scalars(const fo_optimizer *it, fo_group *group, int64_t t, double *carried) noexcept nogil:
    fo_prepare_scalars(it, group, t, carried)


cdef bint carries(const fo_optimizer *it) noexcept nogil:
    return fo_carries(it)


cdef void run_saga_svrg(fo_saga_svrg *it) noexcept nogil:
    fo_run_saga_svrg(it)


cdef void use_blas(const fo_blas *blas) noexcept nogil:
    fo_use_blas(blas)


cdef void flush_saga_svrg(fo_saga_svrg *it) noexcept nogil:
    fo_flush_saga_svrg(it)


cdef void run_vw(fo_vw *it) noexcept nogil:
    fo_run_vw(it)


cdef void flush_vw(fo_vw *it) noexcept nogil:
    fo_flush_vw(it)


cdef size_t partition_workspace(const fo_array *array) noexcept nogil:
    return fo_partition_workspace(array)


cdef double evaluate(const fo_objective *objective, const void *w, fo_batch batch, void *derivative, double *gradient,
                     int num_threads) noexcept nogil:
    return fo_evaluate(objective, w, batch, derivative, gradient, num_threads)
