# The classes that bind arrays to the C ABI and run it; and functions of C for the other extension modules, since C is
# linked into this one only.
from libc.stdint cimport int64_t

cimport cython
cimport numpy as cnp

from ._memory cimport Held, Pins
from ._csrc cimport (fo_array, fo_batch, fo_blas, fo_bound_handle, fo_caller_array, fo_gradient_stats, fo_group,
                     fo_history, fo_loss, fo_objective, fo_optimizer, fo_own, fo_part_gradients, fo_range, fo_reduced,
                     fo_rule, fo_saga_svrg, fo_segment, fo_task, fo_vw, fo_work, fo_worker, fo_zero_gradient)

cdef void parallel_for(Py_ssize_t n, int num_threads, fo_task *task, const void *context) noexcept nogil
cdef int useful_threads(Py_ssize_t nbytes, int num_threads) noexcept nogil
cdef void use_blas(const fo_blas *blas) noexcept nogil
cdef size_t partition_workspace(const fo_array *array) noexcept nogil

cdef const fo_loss *find_loss(bytes name) except NULL
cdef int validate_samples(const fo_objective *objective, int num_threads) noexcept nogil
cdef double largest_norm(const fo_objective *objective, int num_threads) noexcept nogil
cdef size_t gradient_workspace(const fo_objective *objective, fo_batch batch) noexcept nogil
cdef double evaluate(const fo_objective *objective, const void *w, fo_batch batch, void *derivative, double *gradient,
                     int num_threads) noexcept nogil
cdef void start_worker(const fo_segment *segment, fo_worker *worker) noexcept nogil
cdef double part_gradient(const fo_segment *segment, fo_worker *worker, Py_ssize_t n_mean) noexcept nogil
cdef void add_parts(const fo_segment *segment, fo_worker *worker, const fo_part_gradients *given) noexcept nogil
cdef void step_shared(const fo_segment *segment, fo_worker *worker, Py_ssize_t n_mean, double loss) noexcept nogil
cdef void run_segment(const fo_segment *segment, fo_worker *workers) noexcept nogil
cdef void flush(const fo_segment *segment, fo_worker *worker, int64_t t, int num_threads) noexcept nogil
cdef void forget_steps(fo_history *history) noexcept nogil
cdef void prepare_scalars(const fo_optimizer *it, fo_group *group, int64_t t, double *carried) noexcept nogil
cdef bint carries(const fo_optimizer *it) noexcept nogil
cdef void run_saga_svrg(fo_saga_svrg *it) noexcept nogil
cdef void flush_saga_svrg(fo_saga_svrg *it) noexcept nogil
cdef void run_vw(fo_vw *it) noexcept nogil
cdef void flush_vw(fo_vw *it) noexcept nogil


# Steps of an array since all of its rows were up to date.
cdef class History:
    cdef fo_history it
    cdef Py_ssize_t most              # steps, before all rows catch up

    cdef void bind(self, int dtype, Py_ssize_t n_rows, const fo_rule *rule, int form) noexcept
    cdef Py_ssize_t room(self) noexcept
    cdef int reserve(self, Py_ssize_t n_steps) except -1


cdef class Bound:
    cdef fo_optimizer it
    cdef int begun, bound             # atomic: whether arrays are being bound, and whether all is there
    cdef fo_own *own_of_arrays        # n_arrays of them, or NULL
    cdef fo_reduced *reduced_of_arrays  # n_arrays of them, or NULL
    cdef bint ascending               # some slots have codes in blocks, to which sparse gradients must come in order
    cdef fo_range *owned              # memory of parameters and state, which no gradient reaches: n_owned, sorted
    cdef Py_ssize_t n_owned
    cdef tuple arrays                 # the bound parameters, flat: the caller's own arrays
    cdef tuple held                   # of each, what it was when it was bound
    cdef tuple slots                  # per slot, a tuple of arrays like `arrays`; nobody else has them
    cdef list last_steps              # per parameter, its `last_step` array or None; the lock is held to replace one,
    #                                   or to get hold of it
    cdef list missing_steps           # those that a step will need, while it is being prepared; else None
    cdef list gradients               # per parameter while a step is under way, its gradient: an array, or, of a
    #                                   sparse one, its parts, and later a pair of index and values; else None
    cdef list coalescers              # per parameter, made when the first sparse gradient comes
    cdef Pins pins                    # while C works
    cdef bint must_pin                # Python code has run since the gradients of a step were looked at
    cdef bint exact                   # sparse="exact"
    cdef bint lazy                    # sparse="lazy"
    cdef bint deferred                # sparse="deferred"
    cdef list histories               # per parameter, its History, to which its array points then
    cdef object keys                  # None: one array; a tuple of dict keys; or the length of a list
    cdef cython.pymutex replacing     # held for some stores: what may be looked at during a step stays whole

    cdef int own(self, list arrays) except -1
    cdef Py_ssize_t n_rows(self, Py_ssize_t k) noexcept
    cdef int check_slots(self, int form) except -1
    cdef int _bind_array(self, Py_ssize_t k, const fo_rule *rule, dict slots, str state_dtype) except -1
    cdef int check_initialised(self) except -1
    cdef int bind_gradients(self, object grad) except -1
    cdef int let_go(self) except -1
    cdef int check_param(self, Py_ssize_t k) except -1
    cdef int check_gradient_memory(self, Py_ssize_t k, cnp.ndarray array) except -1
    cdef int pin(self, cnp.ndarray array) except -1
    cdef int pin_all(self) except -1
    cdef object taken(self, Py_ssize_t k, object grad)
    cdef int bind_gradient(self, Py_ssize_t k) except -1
    cdef int bind_sparse_gradient(self, Py_ssize_t k) except -1
    cdef void defer(self, bint flag) noexcept
    cdef int64_t present(self, Py_ssize_t k) noexcept
    cdef int forget_steps(self) except -1
    cdef bint lags(self) noexcept
    cdef fo_zero_gradient on_zero_gradient(self, Py_ssize_t k) noexcept
    cdef bint reaches_owned(self, cnp.ndarray grad) noexcept
    cdef int keep_last_steps(self, Py_ssize_t k, object last_step) except -1
    cdef object present_last_steps(self, Py_ssize_t k)


cdef class GroupTable:
    cdef fo_group *groups             # n of them
    cdef Py_ssize_t n
    cdef list own                     # per group, a dict
    cdef list of_arrays               # per array, the index of its group
    cdef list schedules               # the learning rates that are callable: pairs of one and the groups that it is of

    cdef int fill(self, const fo_rule *rule, dict values) except -1


cdef class Grouped(Bound):
    cdef GroupTable table             # whose memory C reads; the lock is held to replace it, or to get hold of it
    cdef bint scheduled               # it has schedules

    cdef GroupTable regrouped(self, dict values, list own_of_arrays, dict carry, list carry_of_arrays)
    cdef void take_groups(self, GroupTable table) noexcept
    cdef int take_values(self, dict values) except -1
    cdef GroupTable present_table(self)
    cdef void show_carried(self, Py_ssize_t group, const double *carried) noexcept
    cdef dict carry_of(self, const double *carried)


cdef class GradientStats:
    cdef fo_gradient_stats it


cdef class Lagging(Grouped):
    cdef bint covers(self, Py_ssize_t k) noexcept
    cdef bint is_full(self, Py_ssize_t k) noexcept
    cdef int get_ready_to_flush(self) except -1
    cdef void flush_before_step(self, int n_threads) noexcept
    cdef int keep_missing_steps(self) except -1
    cdef void prepare_apart(self, int64_t t) noexcept
    cdef int flush(self) except -1
    cdef bint may_be_behind(self) noexcept
    cdef int threads_to_flush(self, Py_ssize_t k) except -1
    cdef void flush_array(self, Py_ssize_t k, int most_threads) noexcept
    cdef fo_array with_rows(self, Py_ssize_t k, cnp.ndarray behind) noexcept
    cdef int threads_to_catch_up(self, Py_ssize_t k, cnp.ndarray behind) except -1
    cdef void catch_up_array(self, Py_ssize_t k, cnp.ndarray index, cnp.ndarray behind, int most_threads) noexcept
    cdef Py_ssize_t plan_alone(self, fo_work *alone, fo_array *array, Py_ssize_t *first_block, int form) noexcept
    cdef int settle(self) except -1
    cdef int pin_params(self) except -1
    cdef int threads(self, Py_ssize_t nbytes) except -1
    cdef void run(self, const fo_work *work, int form, Py_ssize_t nbytes, int n_threads) noexcept


cdef class Engine(Lagging):
    cdef Py_ssize_t bytes             # of the work that is planned
    cdef bint sparse_plan             # it was planned for a step with sparse gradients
    cdef double last_rate             # the optimizer's own of the last step; NaN before the first
    cdef int64_t skipped
    cdef int busy
    cdef Handle handle                # made when compiled code first asks for it
    cdef int has_handle               # atomic: whether it is there

    cdef double checked_value(self, object value) except? -1
    cdef int acquire(self, str call) except -1
    cdef void show(self, int64_t t, int64_t skipped, double norm, double rate) noexcept
    cdef void release(self) noexcept
    cdef void plan(self) noexcept
    cdef int fill_state(self) except -1
    cdef int read_rates(self, int64_t t) except -1
    cdef int apply(self, GradientStats stats) except -1
    cdef int check_gradient(self, GradientStats stats, int n_threads) except -1
    cdef int allocate_sums(self) except -1
    cdef fo_bound_handle *public_handle(self) except NULL


cdef class Handle:
    cdef fo_bound_handle it           # its address is what compiled code has
    cdef fo_caller_array *arrays      # one for each parameter
    cdef Pins pins                    # from the first to the last day

    cdef int bind(self, Engine engine) except -1
