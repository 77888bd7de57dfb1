# The C ABI of csrc/fastopt.h, and the classes that bind arrays to it and run it.
from libc.stdint cimport int32_t, int64_t, uintptr_t

cimport numpy as cnp

from ._csrc cimport fo_batch, fo_loss, fo_objective


cdef extern from "fastopt.h" nogil:
    enum:
        FO_INITIALISE
        FO_REST
        FO_SCAN_CHUNKS

    ctypedef enum fo_cover:
        FO_DENSE
        FO_ROWS
        FO_ELEMENTS
        FO_SPREAD

    ctypedef enum fo_zero_gradient:
        FO_MOVES
        FO_STAYS
        FO_DECAYS

    ctypedef struct fo_positions:
        const void *index
        int wide
        Py_ssize_t n
        Py_ssize_t width
        void *room

    ctypedef struct fo_layout:
        int ndim
        const Py_ssize_t *shape
        const Py_ssize_t *strides

    ctypedef struct fo_array:
        Py_ssize_t size
        int dtype
        fo_cover cover
        void *param
        const void *grad
        fo_layout grad_layout
        fo_positions at
        int64_t *last_step
        Py_ssize_t resting_width
        void *state[4]

    ctypedef struct fo_work:
        fo_array *arrays
        Py_ssize_t *first_block
        Py_ssize_t n_arrays

    ctypedef struct fo_step:
        double coef[12]
        int64_t t
        double clip_value
        double grad_scale
        double l2
        double keep

    ctypedef struct fo_slot:
        const char *name
        int options
        int starts_at_zero

    ctypedef struct fo_rule:
        const char *name
        const char *const *hyper
        const char *const *options
        const char *const *carry
        const fo_slot *slots
        void (*start)(double *carry)
        void (*prepare)(const double *hyper, double learning_rate, int64_t t, double *carry, double *coef)
        fo_zero_gradient (*zero_gradient)(int form)

    ctypedef struct fo_scan:
        double sum_squares
        double scaled_sum_squares
        double probe

    ctypedef enum fo_nonfinite:
        FO_PROPAGATE
        FO_SKIP
        FO_RAISE

    ctypedef struct fo_optimizer:
        const fo_rule *rule
        fo_work work
        fo_step step
        double hyper[8]
        double carried[3]
        int form
        double sign
        double clip_norm
        double weight_decay
        int decoupled
        fo_nonfinite nonfinite
        fo_scan *partial
        int64_t t
        double norm

    const fo_rule *fo_rules[]
    const char *fo_isa_name(int isa)
    int fo_isa_supported(int isa)
    int fo_isa_in_use()
    void fo_use_isa(int isa)
    const char *fo_compiler()
    const char *fo_dtype_name(int dtype)

    Py_ssize_t fo_plan(const fo_work *work, int form)
    void fo_update(const fo_work *work, const fo_rule *rule, int form, const fo_step *step, int num_threads)
    int fo_wants_scan(const fo_optimizer *it)
    int fo_admit(fo_optimizer *it, int num_threads)
    void fo_prepare(fo_optimizer *it, double learning_rate)
    void fo_apply(fo_optimizer *it, int num_threads)
    size_t fo_arranging_room(const fo_array *array)

    ctypedef void fo_task(const void *context, Py_ssize_t lo, Py_ssize_t hi)
    void fo_parallel_for(Py_ssize_t n, int num_threads, fo_task *task, const void *context)
    int fo_has_openmp()
    int fo_openmp_max_threads()
    int fo_useful_threads(Py_ssize_t bytes, int num_threads)
    void fo_always_share(int flag)
    int fo_try_acquire(int *busy)
    void fo_release(int *busy)
    void fo_advise_huge_pages(void *start, size_t bytes)
    void fo_gauge(const void *read, void *const *readwrite, int n, Py_ssize_t bytes, int num_threads)


cdef extern from "finite_sum/epoch.h" nogil:
    enum:
        FO_MOST_COLUMNS

    ctypedef enum fo_penalty_kind:
        FO_NO_PENALTY
        FO_SHRINK
        FO_FLOW
        FO_SOLVE
        FO_DELAYED

    ctypedef struct fo_penalty:
        fo_penalty_kind kind
        double l2, l1
        Py_ssize_t n_columns, width
        int dtype
        void *param
        int64_t *last
        int64_t start
        const double *decay
        const double *pull
        const void *accumulator
        double epsilon, epsilon_root

    ctypedef struct fo_seen:
        int32_t *column
        int32_t base

    ctypedef struct fo_touched:
        void *column
        int32_t *place

    ctypedef enum fo_stretch_end:
        FO_BAD_LOSS
        FO_BAD_GRADIENT

    ctypedef struct fo_lookout:
        int (*stop_wanted)(void *context) noexcept nogil
        void *context
        Py_ssize_t every, left
        double last

    ctypedef struct fo_stretch:
        const fo_objective *objective
        const fo_penalty *penalty
        const fo_optimizer *optimizer
        fo_batch samples
        Py_ssize_t batch_size, n_batches
        const double *rate
        int plain, dense, look_ahead, l1_at, l2_at, num_threads, n_workers
        double loss
        fo_lookout *lookout

    ctypedef struct fo_worker:
        fo_optimizer optimizer
        fo_seen seen
        fo_touched touched[2]
        void *gathered
        void *gradient
        void *spread
        void *derivative
        void *label
        void *weight
        fo_scan *partial
        void *room
        double loss
        double squared_norm
        Py_ssize_t n_done
        Py_ssize_t n_skipped
        fo_stretch_end end

    void fo_run_stretch(const fo_stretch *stretch, fo_worker *workers)
    void fo_settle(const fo_stretch *stretch, fo_worker *worker, int64_t t, int num_threads)


cdef extern from "finite_sum/saga_svrg.h" nogil:
    enum:
        FO_FOLDED_BYTES

    ctypedef struct fo_reduced:
        const fo_objective *objective
        fo_batch samples
        fo_lookout *lookout
        double rate, l2, l1
        int refresh
        void *param
        void *table
        void *mean
        void *folded
        int32_t *done
        const double *power
        const double *sum
        void *margin
        double loss
        double squared_norm
        Py_ssize_t n_done
        fo_stretch_end end

    void fo_run_reduced(fo_reduced *it)


# The threads of csrc/parallel.c, for the other extension modules: C is linked into this one only.
cdef void parallel_for(Py_ssize_t n, int num_threads, fo_task *task, const void *context) noexcept nogil
cdef int useful_threads(Py_ssize_t nbytes, int num_threads) noexcept nogil

# The finite sums of csrc/objective.h.
cdef const fo_loss *find_loss(bytes name) except NULL
cdef int inspect_samples(const fo_objective *objective, int num_threads) noexcept nogil
cdef double largest_norm(const fo_objective *objective, int num_threads) noexcept nogil
cdef size_t evaluation_room(const fo_objective *objective, fo_batch batch) noexcept nogil
cdef void run_stretch(const fo_stretch *stretch, fo_worker *workers) noexcept nogil
cdef void settle(const fo_stretch *stretch, fo_worker *worker, int64_t t, int num_threads) noexcept nogil
cdef void run_reduced(fo_reduced *it) noexcept nogil
cdef size_t arranging_room(const fo_array *array) noexcept nogil
cdef double evaluate(const fo_objective *objective, const void *w, fo_batch batch, void *derivative, double *gradient,
                     int num_threads) noexcept nogil


# A range of memory that belongs to parameters or state: no gradient may reach into it.
ctypedef struct span:
    uintptr_t start
    uintptr_t stop


cdef class Bound:
    cdef fo_optimizer it
    cdef span *owned                  # sorted, disjoint
    cdef Py_ssize_t n_owned
    cdef tuple arrays                 # the bound parameters, flat
    cdef tuple slots                  # per slot, a tuple of arrays like `arrays`
    cdef list last_steps              # per parameter, its `last_step` array or None
    cdef list coalescers              # per parameter, made when the first sparse gradient comes
    cdef bint exact                   # sparse="exact"
    cdef object keys                  # None: one array; a tuple of dict keys; or the length of a list

    cdef int check_place(self, Py_ssize_t k) except -1
    cdef object take(self, Py_ssize_t k, object grad)
    cdef tuple take_all(self, object grad)
    cdef tuple take_sparse(self, Py_ssize_t k, object grad)
    cdef fo_zero_gradient on_zero_gradient(self) noexcept
    cdef int check_overlap(self, Py_ssize_t k, cnp.ndarray grad) except -1
    cdef bint reaches_owned(self, cnp.ndarray grad) noexcept
    cdef int start_resting(self, Py_ssize_t k, cnp.ndarray last_step) except -1


cdef class Engine(Bound):
    cdef Py_ssize_t bytes             # of the work that is planned
    cdef bint sparse_plan             # it was planned for a step with sparse gradients
    cdef double rate
    cdef double last_rate             # of the last step; NaN before the first
    cdef bint scheduled               # the rate comes from the method `_rate_at`, step by step
    cdef int64_t skipped
    cdef int busy

    cdef int acquire(self, str call) except -1
    cdef void release(self) noexcept
    cdef void plan(self) noexcept
    cdef int end_rest_of_covered(self) except -1
    cdef void prepare_apart(self, double rate, int64_t t) noexcept
    cdef int rest(self) except -1
    cdef int apply(self, double rate) except -1
    cdef int threads(self) except -1
    cdef int admit(self, int n_threads) except -1
    cdef int make_scan_room(self) except -1
    cdef void run(self, int form, int n_threads) noexcept
