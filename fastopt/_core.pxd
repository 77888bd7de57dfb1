# The C ABI of csrc/fastopt.h, and the engine that binds arrays to it.
from libc.stdint cimport int64_t, uintptr_t

cimport numpy as cnp


cdef extern from "fastopt.h" nogil:
    enum:
        FO_MAX_SLOTS
        FO_MAX_HYPER
        FO_MAX_CARRY
        FO_BLOCK_BYTES
        FO_MODIFIED
        FO_INITIALISE

    ctypedef struct fo_layout:
        int ndim
        const Py_ssize_t *shape
        const Py_ssize_t *strides

    ctypedef struct fo_array:
        Py_ssize_t size
        int dtype
        void *param
        const void *grad
        fo_layout grad_layout
        void *state[4]

    ctypedef struct fo_work:
        fo_array *arrays
        Py_ssize_t *first_block
        Py_ssize_t n_arrays

    ctypedef struct fo_step:
        double coef[12]
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

    ctypedef struct fo_scan:
        double sum_squares
        double scaled_sum_squares
        double probe

    const fo_rule *fo_rules[]
    const char *fo_isa_name(int isa)
    int fo_isa_supported(int isa)
    int fo_isa_in_use()
    void fo_use_isa(int isa)
    const char *fo_compiler()
    const char *fo_dtype_name(int dtype)

    void fo_update(const fo_work *work, const fo_rule *rule, int form, const fo_step *step, int num_threads)
    Py_ssize_t fo_scan_chunks(const fo_work *work)
    fo_scan fo_scan_gradients(const fo_work *work, double clip_value, int want_norm, fo_scan *partial,
                              int num_threads)
    double fo_scan_norm(fo_scan scan)

    int fo_has_openmp()
    int fo_openmp_max_threads()
    int fo_useful_threads(Py_ssize_t bytes, int num_threads)
    int fo_try_acquire(int *busy)
    void fo_release(int *busy)
    void fo_advise_huge_pages(void *start, size_t bytes)
    void fo_gauge(const void *read, void *const *readwrite, int n, Py_ssize_t bytes, int num_threads)


# A range of memory that belongs to parameters or state: no gradient may reach into it.
ctypedef struct span:
    uintptr_t start
    uintptr_t stop


cdef class Engine:
    cdef const fo_rule *rule
    cdef fo_work work
    cdef fo_step scalars
    cdef double hyper[8]
    cdef double carried[3]
    cdef int form
    cdef Py_ssize_t bytes             # of all parameters together
    cdef fo_scan *partial             # scratch of the norm, NULL until first wanted
    cdef span *owned                  # sorted, disjoint
    cdef Py_ssize_t n_owned
    cdef tuple arrays                 # the bound parameters, flat
    cdef tuple slots                  # per slot, a tuple of arrays like `arrays`
    cdef object keys                  # None: one array; a tuple of dict keys; or the length of a list
    cdef double rate
    cdef bint scheduled               # the rate comes from the method `_rate_at`, step by step
    cdef double clip_norm             # infinity: none
    cdef double weight_decay
    cdef bint decoupled
    cdef double sign                  # -1 to maximize
    cdef int nonfinite                # PROPAGATE, SKIP or RAISE
    cdef int64_t t                    # completed steps
    cdef int64_t skipped
    cdef double norm
    cdef int busy

    cdef cnp.ndarray take(self, Py_ssize_t k, object grad)
    cdef tuple take_all(self, object grad)
    cdef bint reaches_owned(self, cnp.ndarray grad) noexcept
    cdef int apply(self, double rate) except -1
    cdef int threads(self) except -1
    cdef int scan(self, int n_threads) except -1
    cdef void run(self, int form, int n_threads) noexcept
