# The C ABI of csrc/ as Cython sees it: declarations alone, kept with the headers that they name.
from libc.stdint cimport int32_t, int64_t, uintptr_t


cdef extern from "update/catch_up.h" nogil:
    ctypedef struct fo_history:
        const fo_rule *rule
        int form, dtype
        int64_t start
        Py_ssize_t n, capacity
        void *past
        double *maps


cdef extern from "core/atomics.h" nogil:
    int fo_load(int *at)
    void fo_store(int *at, int value)
    int fo_exchange(int *at, int value)
    void fo_set_bits(int *at, int bits)
    void fo_clear_bits(int *at, int bits)
    int fo_peek(const int *at)
    void fo_show(int *at, int value)
    int64_t fo_peek_wide(const int64_t *at)
    void fo_show_wide(int64_t *at, int64_t value)
    Py_ssize_t fo_peek_size(const Py_ssize_t *at)
    double fo_peek_real(const double *at)
    void fo_show_real(double *at, double value)


cdef extern from "fastopt.h" nogil:
    enum:
        FO_MAX_SLOTS
        FO_MAX_HYPER
        FO_MAX_COEFS
        FO_OWED_DECAY
        FO_N_CARRIED
        FO_MAX_STREAMS
        FO_MAX_DIMS
        FO_INITIALISE
        FO_FLUSH
        FO_CATCH_UP
        FO_MAX_CHUNKS
        FO_VIEW_ENTRIES
        FO_EXACT_DIGITS
        FO_STATS_ENTRIES
        FO_NUMBER
        FO_INFINITE
        FO_NAN

    ctypedef struct fo_exact:
        int64_t digit[FO_EXACT_DIGITS]
        int overflow

    ctypedef struct fo_gradient_stats:
        fo_exact squares
        int finite

    ctypedef enum fo_storage:
        FO_AS_PARAMETER
        FO_FLOAT32
        FO_BFLOAT16
        FO_LOG8

    ctypedef struct fo_codes:
        fo_storage storage

    ctypedef struct fo_reduced:
        fo_storage asked
        fo_codes codes[FO_MAX_SLOTS]
        int64_t seed
        int64_t number
        Py_ssize_t origin

    ctypedef enum fo_layout:
        FO_DENSE
        FO_ROWS
        FO_ELEMENTS
        FO_EXPANDED
        FO_ABSENT

    ctypedef enum fo_zero_gradient:
        FO_MOVES
        FO_STAYS
        FO_DECAYS

    ctypedef enum fo_rest:
        FO_NO_REST
        FO_LINEAR
        FO_FADES

    ctypedef struct fo_positions:
        const void *index
        int index64
        Py_ssize_t n
        Py_ssize_t width
        void *workspace

    ctypedef struct fo_strides:
        int ndim
        const Py_ssize_t *shape
        const Py_ssize_t *strides

    ctypedef struct fo_own:
        pass

    ctypedef struct fo_array:
        Py_ssize_t size
        int dtype
        fo_layout layout
        void *param
        const void *grad
        fo_strides grad_strides
        fo_positions at
        int64_t *last_step
        fo_history *history
        Py_ssize_t row_width
        void *state[FO_MAX_SLOTS]
        const fo_reduced *reduced
        Py_ssize_t rows
        Py_ssize_t columns
        int is_matrix
        int group
        fo_own *own

    ctypedef struct fo_work:
        fo_array *arrays
        Py_ssize_t *first_block
        Py_ssize_t n_arrays
        int by_rows

    ctypedef struct fo_step:
        double coef[FO_MAX_COEFS]
        int64_t t
        double clip_value
        double grad_scale
        double l2
        int modified

    ctypedef struct fo_group:
        double hyper[FO_MAX_HYPER]
        double weight_decay
        double learning_rate
        double carried[FO_N_CARRIED]
        fo_step step

    ctypedef enum fo_per:
        FO_PER_ENTRY
        FO_PER_ROW
        FO_PER_ARRAY
        FO_SUM_PER_ARRAY
        FO_PER_MATRIX_ROW
        FO_PER_MATRIX_COLUMN

    ctypedef enum fo_content:
        FO_WHOLE
        FO_MOMENT
        FO_SECOND_MOMENT

    ctypedef struct fo_slot:
        const char *name
        int options
        fo_per per
        int starts_at_zero
        int kept

    ctypedef struct fo_sums:
        pass

    ctypedef struct fo_lines:
        pass

    ctypedef struct fo_inputs:
        pass

    ctypedef struct fo_orthogonal:
        pass

    ctypedef struct fo_rule:
        const char *name
        const char *const *hyper
        const char *const *options
        const char *const *carry
        const fo_slot *slots
        const fo_content *content
        int own_weight_decay
        int sums_before
        int sums_during
        int by_rows
        int by_lines
        int orthogonalises
        int uses_value
        void (*adjust)(const fo_inputs *inputs, const fo_array *array, double *coef)
        fo_zero_gradient (*zero_gradient)(int form)
        fo_rest rest
        int rests_with_l2
        double (*rest_ratio)(const double *hyper, int form)

    ctypedef enum fo_nonfinite:
        FO_PROPAGATE
        FO_SKIP
        FO_RAISE

    ctypedef struct fo_optimizer:
        const fo_rule *rule
        fo_work work
        fo_group *groups
        Py_ssize_t n_groups
        int form
        double sign
        double clip_norm
        int decoupled
        fo_nonfinite nonfinite
        fo_lines *lines
        fo_orthogonal *orthogonal
        fo_sums *partial
        int64_t t
        double norm
        double value
        fo_sums total

    const fo_rule *fo_rules[]
    const fo_rule *fo_find_rule(const char *name)
    const char *fo_isa_name(int isa)
    int fo_isa_supported(int isa)
    int fo_isa_in_use()
    void fo_use_isa(int isa)
    const char *fo_compiler()
    const char *fo_dtype_name(int dtype)

    Py_ssize_t fo_plan(const fo_work *work, int form)
    void fo_update(const fo_work *work, const fo_rule *rule, int form, const fo_group *groups, int num_threads)
    int fo_couples(const fo_rule *rule)
    int fo_check_gradient(fo_optimizer *it, const fo_gradient_stats *known, int num_threads)
    void fo_measure_gradients(const fo_optimizer *it, int want_norm, int want_finite, int num_threads,
                              fo_gradient_stats *stats)
    void fo_carry(fo_exact *sum)
    double fo_exact_value(const fo_exact *sum)
    double fo_exact_root(const fo_exact *sum)
    void fo_prepare(fo_optimizer *it)
    void fo_start_carried(const fo_rule *rule, double *carried)
    int fo_carries(const fo_optimizer *it)
    void fo_prepare_scalars(const fo_optimizer *it, fo_group *group, int64_t t, double *carried)
    void fo_apply(fo_optimizer *it, int num_threads)
    size_t fo_partition_workspace(const fo_array *array)
    size_t fo_log8_bytes(Py_ssize_t size)
    fo_codes fo_codes_at(fo_storage storage, Py_ssize_t size, void *memory)
    void fo_decode_slot(const fo_array *array, int slot, void *values)
    void fo_encode_slot(const fo_array *array, int slot, const void *values)
    size_t fo_map_bytes(const fo_rule *rule)
    size_t fo_past_bytes(const fo_rule *rule, int dtype)
    void fo_forget_steps(fo_history *history)
    Py_ssize_t fo_claim_rows(const fo_array *array, const void *index, int index64, Py_ssize_t n, int64_t *behind)
    size_t fo_lines_workspace(const fo_work *work)
    fo_lines *fo_bind_lines(const fo_work *work, void *workspace)
    size_t fo_orthogonal_workspace(const fo_work *work)
    fo_orthogonal *fo_bind_orthogonal(const fo_work *work, void *workspace)

    int fo_expect_forks()
    ctypedef void fo_task(const void *context, Py_ssize_t lo, Py_ssize_t hi)
    void fo_parallel_for(Py_ssize_t n, int num_threads, fo_task *task, const void *context)
    int fo_has_openmp()
    int fo_openmp_max_threads()
    int fo_useful_threads(Py_ssize_t bytes, int num_threads)
    void fo_always_share(int flag)
    int fo_try_acquire(int *busy)
    void fo_release(int *busy)
    void fo_advise_huge_pages(void *start, size_t bytes)
    void fo_bandwidth_pass(const void *read, void *const *readwrite, int n, Py_ssize_t bytes, int num_threads)


cdef extern from "update/codes.h" nogil:
    enum:
        FO_GROUP_ENTRIES

    fo_storage fo_storage_for(fo_storage asked, fo_content content)


cdef extern from "interface/handle.h" nogil:
    enum:
        FO_STATUS_OK
        FO_STATUS_BUSY
        FO_STATUS_BAD_ARGUMENT
        FO_STATUS_BAD_INDEX
        FO_STATUS_NONFINITE
        FO_STATUS_NO_MEMORY
        FO_STATUS_REFUSED

    ctypedef struct fo_interface:
        int version
        int (*step_dense)(fo_handle *it, const void *const *grads)
        int (*step_rows)(fo_handle *it, Py_ssize_t array, const void *indices, int index64, Py_ssize_t n,
                         const void *rows, int unique)
        int (*catch_up)(fo_handle *it, Py_ssize_t array, const void *indices, int index64, Py_ssize_t n)
        double (*learning_rate)(fo_handle *it)
        int (*set_learning_rate)(fo_handle *it, double rate)
        int64_t (*step_count)(const fo_handle *it)
        double (*last_norm)(const fo_handle *it)
        int (*measure)(fo_handle *it, const void *const *grads, double *norm, int *finite)

    ctypedef struct fo_handle:
        const fo_interface *functions

    ctypedef struct fo_range:
        uintptr_t start
        uintptr_t stop

    ctypedef struct fo_caller_array:
        void *const *memory
        const int *flags

    ctypedef struct fo_in_python:
        int (*step_dense)(void *owner, const void *const *grads) noexcept
        int (*step_rows)(void *owner, Py_ssize_t array, const void *indices, int index64, Py_ssize_t n,
                         const void *rows, int unique) noexcept
        int (*catch_up)(void *owner, Py_ssize_t array, const void *indices, int index64, Py_ssize_t n) noexcept
        int (*set_learning_rate)(void *owner, double rate) noexcept

    ctypedef struct fo_bound_handle:
        fo_handle as_public
        const fo_in_python *python
        void *owner
        fo_optimizer *it
        int *busy
        const int *lazy
        const int *exact
        const int *scheduled
        const fo_caller_array *arrays
        int writeable
        const fo_range *owned
        Py_ssize_t n_owned
        Py_ssize_t *bytes
        int *sparse_plan
        int64_t *skipped
        double *last_rate
        int num_threads

    const fo_interface fo_interface_functions


cdef extern from "core/blas.h" nogil:
    ctypedef struct fo_blas_f32:
        void (*syrk)(char *uplo, char *trans, int *n, int *k, float *alpha, float *a, int *lda, float *beta, float *c,
                     int *ldc)
        void (*symm)(char *side, char *uplo, int *m, int *n, float *alpha, float *a, int *lda, float *b, int *ldb,
                     float *beta, float *c, int *ldc)

    ctypedef struct fo_blas_f64:
        void (*syrk)(char *uplo, char *trans, int *n, int *k, double *alpha, double *a, int *lda, double *beta,
                     double *c, int *ldc)
        void (*symm)(char *side, char *uplo, int *m, int *n, double *alpha, double *a, int *lda, double *b, int *ldb,
                     double *beta, double *c, int *ldc)

    ctypedef struct fo_blas:
        fo_blas_f32 f32
        fo_blas_f64 f64

    int fo_has_blas()
    void fo_use_blas(const fo_blas *blas)


cdef extern from "core/interrupt.h" nogil:
    ctypedef struct fo_interrupt_poll:
        int (*stop_wanted)(void *context) noexcept nogil
        void *context
        Py_ssize_t every, left
        double last


cdef extern from "core/prefetch.h" nogil:
    enum:
        MOST_PREFETCHED
    void prefetch_range(const void *start, Py_ssize_t nbytes, Py_ssize_t most)


cdef extern from "update/positions.h" nogil:
    enum:
        ROWS_AHEAD


cdef extern from "finite_sum/objective.h" nogil:
    ctypedef struct fo_loss:
        const char *name

    ctypedef enum fo_format:
        FO_DENSE_SAMPLES
        FO_CSR32
        FO_CSR64

    ctypedef struct fo_objective:
        Py_ssize_t n_samples, n_features, n_outputs, n_labels
        int dtype
        fo_format format
        int intercept
        const void *data
        Py_ssize_t sample_stride
        const void *indices
        const void *indptr
        const void *label
        const void *weight
        const void *linear
        const fo_loss *loss
        double loss_parameter

    ctypedef struct fo_batch:
        const int64_t *sample
        Py_ssize_t first, n, more

    enum:
        FO_NOT_FINITE
        FO_OUT_OF_RANGE
        FO_NOT_ASCENDING

    const fo_loss *fo_find_loss(const char *name)
    int fo_validate_samples(const fo_objective *objective, int num_threads)
    double fo_largest_norm(const fo_objective *objective, int num_threads)
    size_t fo_gradient_workspace(const fo_objective *objective, fo_batch batch)
    double fo_evaluate(const fo_objective *objective, const void *w, fo_batch batch, void *derivative,
                       double *gradient, int num_threads)


cdef extern from "finite_sum/epoch.h" nogil:
    enum:
        FO_MOST_COLUMNS

    ctypedef enum fo_penalty_kind:
        FO_NO_PENALTY
        FO_PROXIMAL
        FO_FLOW
        FO_CLOSED_FORM
        FO_LAGGED_GRADIENT

    ctypedef struct fo_penalty:
        fo_penalty_kind kind
        double l2, l1
        Py_ssize_t n_columns, width
        int dtype
        void *param
        Py_ssize_t spacing
        int32_t *left_after
        Py_ssize_t left_spacing
        int64_t start
        const double *weight_scale
        const double *cumulative_penalty
        const void *accumulator
        double epsilon, epsilon_root

    ctypedef struct fo_seen:
        int32_t *place
        int32_t base

    ctypedef struct fo_records:
        void *memory
        Py_ssize_t spacing

    ctypedef struct fo_touched:
        void *columns
        void *positions
        int32_t *place
        Py_ssize_t n

    ctypedef enum fo_segment_end:
        FO_COMPLETE
        FO_BAD_LOSS
        FO_BAD_GRADIENT

    ctypedef struct fo_segment:
        const fo_objective *objective
        const fo_penalty *penalty
        const fo_optimizer *optimizer
        fo_batch samples
        Py_ssize_t batch_size, n_batches
        const double *learning_rate
        void *scaled
        fo_records records
        int loads_records
        int64_t *last_step
        fo_history *history
        int scales, single_sample_sgd, dense_steps, pipelined, l1_at, l2_at, num_threads, n_workers
        double loss
        fo_interrupt_poll *poll

    ctypedef struct fo_worker:
        fo_optimizer optimizer
        fo_group group
        fo_seen seen
        fo_touched touched[2]
        void *gathered
        int32_t *left
        void *gradient
        void *expanded
        void *derivative
        void *label
        void *weight
        fo_sums *partial
        void *workspace
        double loss
        double squared_norm
        Py_ssize_t n_done
        Py_ssize_t n_skipped
        fo_segment_end end

    void fo_start_worker(const fo_segment *segment, fo_worker *worker)
    void fo_run_segment(const fo_segment *segment, fo_worker *workers)
    void fo_flush(const fo_segment *segment, fo_worker *worker, int64_t t, int num_threads)


cdef extern from "finite_sum/shared_batch.h" nogil:
    ctypedef struct fo_part_gradients:
        const void *columns
        const void *rows
        Py_ssize_t n
        int32_t *place

    double fo_part_gradient(const fo_segment *segment, fo_worker *worker, Py_ssize_t n_mean)
    void fo_add_parts(const fo_segment *segment, fo_worker *worker, const fo_part_gradients *given)
    void fo_step_shared(const fo_segment *segment, fo_worker *worker, Py_ssize_t n_mean, double loss)


cdef extern from "finite_sum/saga_svrg.h" nogil:
    enum:
        FO_SCALED_COLUMN_BYTES

    ctypedef struct fo_saga_svrg:
        const fo_objective *objective
        fo_batch samples
        double learning_rate, l2, l1
        int updates_memory
        void *param
        void *gradient_memory
        void *mean_gradient
        void *scaled_columns
        int32_t *n_updates
        const double *weight_scale
        const double *cumulative_scale
        fo_interrupt_poll *poll
        void *workspace
        double loss
        Py_ssize_t n_lagged
        double reached
        Py_ssize_t n_done
        fo_segment_end end

    void fo_run_saga_svrg(fo_saga_svrg *it)
    void fo_flush_saga_svrg(fo_saga_svrg *it)


cdef extern from "finite_sum/vw.h" nogil:
    ctypedef struct fo_vw:
        const fo_objective *objective
        fo_batch samples
        double learning_rate, l2, l1
        void *param
        void *accumulator
        void *scale
        double *weight_sum
        double *norm_sum
        double *rate_sum
        double *last_rate_sum
        void *workspace
        fo_interrupt_poll *poll
        double loss
        Py_ssize_t n_done
        fo_segment_end end

    void fo_run_vw(fo_vw *it)
    void fo_flush_vw(fo_vw *it)
