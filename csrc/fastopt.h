/* fastopt.h -- the C ABI: what a rule, a kernel, an array and a step are.
 *
 * The only header that Cython sees. Nothing here allocates, prints or checks user data: pointers and
 * sizes were validated by the caller, and all arrays of one optimizer are disjoint. */
#ifndef FASTOPT_H
#define FASTOPT_H

#include <stddef.h>
#include <stdint.h>

enum { FO_MAX_SLOTS = 4, FO_MAX_HYPER = 8, FO_MAX_COEFS = 12, FO_MAX_CARRY = 2, FO_MAX_DIMS = 64 };

/* The shape and byte strides of a gradient that is not C-contiguous; both have `ndim` entries. */
typedef struct {
    int ndim;
    const ptrdiff_t *shape;
    const ptrdiff_t *strides;
} fo_layout;

/* How a gradient lies over its parameter.
 *   FO_DENSE     one entry for each of the parameter
 *   FO_ROWS      `n` distinct rows of `width` consecutive entries; only those are updated
 *   FO_ELEMENTS  the same with width 1
 *   FO_SPREAD    as FO_ROWS with ascending positions, but zero elsewhere: everything is updated */
typedef enum { FO_DENSE, FO_ROWS, FO_ELEMENTS, FO_SPREAD } fo_cover;

/* The positions of a sparse gradient: distinct, in [0, size / width). The gradient's n * width values are
 * C-contiguous, row by row. */
typedef struct {
    const void *index;           /* n positions, int64 if `wide`, else int32 */
    int wide;
    ptrdiff_t n;
    ptrdiff_t width;
    void *room;                  /* scratch of fo_arranging_room bytes, or NULL: positions are used as they lie */
} fo_positions;

/* One parameter array with its gradient and its state. `param` and each `state[k]` are C-contiguous,
 * of `size` elements of `dtype`, and disjoint; `grad` may not overlap them. Absent slots are NULL. */
typedef struct {
    ptrdiff_t size;
    int dtype;                   /* index into the dtypes of for_each_variant.h */
    fo_cover cover;
    void *param;
    const void *grad;
    fo_layout grad_layout;       /* of a dense gradient; ndim == 0: it is C-contiguous */
    fo_positions at;             /* of a sparse gradient */
    int64_t *last_step;          /* NULL, or for each position the step that its state is up to date with */
    ptrdiff_t resting_width;     /* entries of the parameter for each entry of last_step */
    void *state[FO_MAX_SLOTS];
} fo_array;

/* All arrays of one optimizer, as one list of work that is split by bytes, not by arrays.
 * `first_block[k]` is the number of blocks in the arrays before k: fo_plan writes it. A block is about
 * FO_BLOCK_BYTES of parameters, or as many positions as cost the same. */
enum { FO_BLOCK_BYTES = 4096 };
typedef struct {
    fo_array *arrays;
    ptrdiff_t *first_block;      /* n_arrays + 1 entries */
    ptrdiff_t n_arrays;
} fo_work;

/* The scalars of one step, common to all arrays, in double; kernels round them once to their dtype. */
typedef struct {
    double coef[FO_MAX_COEFS];   /* filled by the rule's prepare */
    int64_t t;                   /* number of this step, from 1 */
    double clip_value;           /* |g| is limited to this first; infinity: no limit */
    double grad_scale;           /* then g is multiplied: norm clipping, and -1 to maximize */
    double l2;                   /* then l2 * p is added to g */
    double keep;                 /* and p is multiplied by this: decoupled weight decay */
} fo_step;

/* A serial pass over the elements [lo, hi) of one array. */
typedef void fo_kernel(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi);

/* Which specialisation of a kernel: bit 0 is FO_MODIFIED (any of the four scalars after coef is in use),
 * bit k + 1 is the rule's option k. */
enum { FO_MODIFIED = 1 };

typedef struct {
    fo_kernel *initialise;       /* fills the state from the parameters */
    fo_kernel *rest;             /* [lo, hi) of last_step: brings their state up to date with step t */
    fo_kernel *const *dense;     /* indexed by form, like the next two */
    fo_kernel *const *rows;      /* [lo, hi) are positions of the gradient */
    fo_kernel *const *elements;
} fo_variant;

/* What a step with a zero gradient does: nothing; it only multiplies the state by a factor; or it moves the
 * parameter. Decides how a sparse gradient can mean the same as a dense one. */
typedef enum { FO_MOVES, FO_STAYS, FO_DECAYS } fo_zero_gradient;

typedef struct {
    const char *name;
    int options;                 /* form bits that must be set for the slot to exist; 0: always there */
    int starts_at_zero;
} fo_slot;

/* An update rule: its names, in the order of the arrays that carry their values, and its functions. */
typedef struct {
    const char *name;
    const char *const *hyper;    /* NULL-terminated, like the following lists */
    const char *const *options;  /* names of hyper-parameters; one that is non-zero sets its form bit */
    const char *const *carry;
    const fo_slot *slots;
    void (*start)(double *carry);
    /* Hyper-parameters, learning rate and step number t (from 1) -> the scalars of this step. Scalars in
     * `carry` pass from step to step and are updated. */
    void (*prepare)(const double *hyper, double learning_rate, int64_t t, double *carry, double *coef);
    fo_zero_gradient (*zero_gradient)(int form);
    const fo_variant *const *variants;   /* [instruction set][dtype] */
} fo_rule;

/* dispatch.c */
extern const fo_rule *const fo_rules[];                      /* NULL-terminated, sorted by name */
const char *fo_isa_name(int isa);                            /* NULL past the last one */
int fo_isa_supported(int isa);                               /* by this build and this processor */
int fo_isa_in_use(void);
const char *fo_compiler(void);                               /* that built the kernels */
void fo_use_isa(int isa);                                    /* must be supported */
const fo_variant *fo_variant_of(const fo_rule *rule, int dtype);
const char *fo_dtype_name(int dtype);                        /* NULL past the last one */
size_t fo_itemsize(int dtype);
int fo_variant_index(int dtype);                             /* of the instruction set in use */

/* step.c: over all arrays of the work list, on at most num_threads threads. fo_plan lays the blocks out for the
 * gradients that are bound, and comes before the rest; it returns the bytes of work. */
enum { FO_INITIALISE = -1, FO_REST = -2 };                   /* in the place of a form */
ptrdiff_t fo_plan(const fo_work *work, int form);
void fo_update(const fo_work *work, const fo_rule *rule, int form, const fo_step *step, int num_threads);

/* pieces.c: address of element lo of [lo, hi) of the gradient as the parameter sees it. A contiguous gradient is
 * used in place; one with strides is gathered and a spread one expanded into `buffer` (room for hi - lo
 * elements, at most FO_PIECE). */
enum { FO_PIECE = 2048 };
const void *fo_grad_piece(const fo_array *array, ptrdiff_t lo, ptrdiff_t hi, void *buffer);

/* arrange.c: scratch bytes that pay for FO_ELEMENTS, 0 if none do; and a view of the array whose positions
 * [lo, hi) and their gradients lie in that scratch, in an order that suits the memory. */
size_t fo_arranging_room(const fo_array *array);
fo_array fo_arrange(const fo_array *array, ptrdiff_t lo, ptrdiff_t hi);

/* What becomes of a step whose gradient is not finite. */
typedef enum { FO_PROPAGATE, FO_SKIP, FO_RAISE } fo_nonfinite;

/* An optimizer: a rule with its values, bound to arrays. Copies with arrays of their own are optimizers, too. */
typedef struct {
    const fo_rule *rule;
    fo_work work;
    fo_step step;                /* `clip_value` is set once, the rest step by step */
    double hyper[FO_MAX_HYPER];
    double carried[FO_MAX_CARRY + 1];
    int form;
    double sign;                 /* -1 to maximize */
    double clip_norm;            /* infinity: none */
    double weight_decay;
    int decoupled;
    fo_nonfinite nonfinite;
    struct fo_scan *partial;     /* scratch of the norm; may be NULL if no scan is wanted */
    int64_t t;                   /* completed steps */
    double norm;                 /* of the last gradient, with clip_norm */
} fo_optimizer;

/* step.c: a step on planned work in three parts, so that nothing is written before all is checked. */
int fo_wants_scan(const fo_optimizer *it);
int fo_admit(fo_optimizer *it, int num_threads);    /* norm and finiteness; 0: the gradient is not finite */
void fo_prepare(fo_optimizer *it, double learning_rate);
void fo_apply(fo_optimizer *it, int num_threads);

/* reduce.c: one read of all gradients. `partial` has room for FO_SCAN_CHUNKS + n_arrays entries; the result is
 * the same bits for any num_threads. */
enum { FO_SCAN_CHUNKS = 1024 };
typedef struct fo_scan {
    double sum_squares;          /* of min(max(g, -clip), clip) */
    double scaled_sum_squares;   /* of the same times 2^-600, for float64: finite where the first overflows */
    double probe;                /* sum of g * 0: zero if every g is finite, else NaN */
} fo_scan;
fo_scan fo_scan_gradients(const fo_work *work, double clip_value, int want_norm, fo_scan *partial, int num_threads);
double fo_scan_norm(fo_scan scan);

/* parallel.c: the only place that knows of threads. */
typedef void fo_task(const void *context, ptrdiff_t lo, ptrdiff_t hi);
void fo_parallel_for(ptrdiff_t n, int num_threads, fo_task *task, const void *context);
int fo_has_openmp(void);
int fo_openmp_max_threads(void);     /* of the calling thread: OMP_NUM_THREADS, threadpoolctl; else 1 */
int fo_useful_threads(ptrdiff_t bytes, int num_threads);   /* fewer while the workers are slow to wake */
void fo_always_share(int flag);      /* whether slow workers are overlooked: for tests of shared work */
int fo_try_acquire(int *busy);       /* atomic: 1 and *busy set, or 0 if it was set already */
void fo_release(int *busy);

/* memory.c */
void fo_advise_huge_pages(void *start, size_t bytes);

/* gauge.c: bandwidth of an in-place pass over one read stream and n read-write streams, no arithmetic. */
void fo_gauge(const void *read, void *const *readwrite, int n, ptrdiff_t bytes, int num_threads);

#endif
