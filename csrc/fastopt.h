/* fastopt.h -- the C ABI: what a rule, a kernel, an array and a step are.
 *
 * The main header that Cython sees; fastopt/_csrc.pxd names all. Nothing here allocates, prints or checks user data:
 * pointers and sizes were validated by the caller, and all arrays of one optimizer are disjoint. Sizes are in entries
 * unless bytes are named. */
#ifndef FASTOPT_H
#define FASTOPT_H

#include <stddef.h>
#include <stdint.h>

/* Most slots, hyper-parameters, scalars, carried scalars and sums of a rule; most dimensions of an array; the streams
 * of memory that an update goes through beside the gradient: the parameter, and slots of its size. */
enum { FO_MAX_SLOTS = 7, FO_MAX_HYPER = 12, FO_MAX_COEFS = 12, FO_MAX_CARRY = 4, FO_MAX_SUMS = 3, FO_MAX_DIMS = 64 };
enum { FO_MAX_STREAMS = 6 };
/* Carried scalars of an optimizer: those of its rule, then what decay is owed to float32 parameters. */
enum { FO_OWED_DECAY = FO_MAX_CARRY, FO_OWED_OWN_DECAY, FO_N_CARRIED };

/* --- sums ------------------------------------------------------------------------------------------------------- */

/* A sum of products x * y over entries; and the same with x and y times 2^-600, and times 2^600. So one of the three is
 * right where doubles are too large or too small for the others: see update/sums.h. */
typedef struct {
    double plain, down, up;
} fo_sum;

/* The sums of one pass, in the order of the rule's names; of the gradient norm, that of squares alone. */
typedef struct {
    fo_sum sum[FO_MAX_SUMS];
    double probe;                /* 0 if every gradient was finite, else NaN */
} fo_sums;

/* update/catch_up.h: the steps that rows may have missed. */
typedef struct fo_history fo_history;

/* A sum of squares that has not been rounded, as an integer of digits of 32 bits, the lowest first; carries are put
 * off. The digits are those of the finite parts. */
enum { FO_EXACT_DIGITS = 144 };
typedef enum { FO_NUMBER, FO_INFINITE, FO_NAN } fo_overflow;
typedef struct {
    int64_t digit[FO_EXACT_DIGITS];
    int overflow;                /* fo_overflow: the largest of all parts */
} fo_exact;

/* update/products.h: the sums of a chunk while they are taken. */
typedef struct fo_lanes fo_lanes;

/* --- arrays ----------------------------------------------------------------------------------------------------- */

/* Shape and byte strides of a gradient that is not C-contiguous; both belong to the gradient's owner. */
typedef struct {
    int ndim;                    /* 0: the gradient is C-contiguous */
    const ptrdiff_t *shape;      /* ndim entries */
    const ptrdiff_t *strides;    /* ndim entries, in bytes */
} fo_strides;

/* The layout of a gradient: how it lies over its parameter.
 *   FO_ABSENT    there is none: parameter and state are left alone
 *   FO_DENSE     one entry for each of the parameter
 *   FO_ROWS      `n` distinct rows of `width` consecutive entries; only those are updated
 *   FO_ELEMENTS  the same with width 1
 *   FO_EXPANDED  as FO_ROWS with ascending positions, but zero elsewhere: everything is updated */
typedef enum { FO_DENSE, FO_ROWS, FO_ELEMENTS, FO_EXPANDED, FO_ABSENT } fo_layout;

/* The positions of a sparse gradient. The gradient's n * width values are C-contiguous, row by row. */
typedef struct {
    const void *index;           /* n distinct positions in [0, size / width); the caller's */
    int index64;                 /* they are int64, else int32 */
    ptrdiff_t n;
    ptrdiff_t width;             /* entries of the parameter in a row */
    void *workspace;             /* the caller's, of fo_partition_workspace bytes; NULL: positions are used as is */
} fo_positions;

/* What an array has of its own in a rule with sums over arrays, or with scalars for each. Apart, so that lists of many
 * arrays stay short. */
typedef struct {
    fo_sums sums;                /* over this array: those before this step, and those during the last one */
    double coef[FO_MAX_COEFS];   /* its scalars of the step, if the rule adjusts them; else those of fo_step hold */
} fo_own;

/* How a slot lies in memory: see update/storage.h. */
typedef enum { FO_AS_PARAMETER, FO_FLOAT32, FO_BFLOAT16, FO_LOG8, FO_N_STORAGES } fo_storage;

/* A slot in fewer bits than its parameter has. */
typedef struct {
    fo_storage storage;          /* FO_AS_PARAMETER: there is no such slot, and nothing below */
    ptrdiff_t size;              /* entries */
    void *memory;                /* a code for each; the caller's */
    uint16_t *offsets;           /* of FO_LOG8, for each block of entries; in the same memory */
} fo_codes;

/* The slots of an array that are stored in fewer bits ("reduced"), and what their rounding depends on. Apart, as most
 * arrays have none. */
typedef struct {
    fo_storage asked;            /* each slot is stored as fo_storage_for says of this and of what it holds */
    fo_codes codes[FO_MAX_SLOTS];
    int64_t seed, number;        /* of the array among those of its optimizer */
    ptrdiff_t origin;            /* of entry 0 in the array that this one is a part of */
} fo_reduced;

/* One parameter array with its gradient and its state. `param` and each `state[k]` are C-contiguous, of `size` entries
 * of `dtype`, disjoint, and belong to the caller; kernels write them, and last_step, and nothing else. `layout`,
 * `grad`, `grad_strides` and `at` are bound anew for each step. */
typedef struct {
    ptrdiff_t size;
    int dtype;                   /* index into the dtypes of core/variants.h */
    void *param;
    fo_layout layout;            /* of the gradient */
    const void *grad;            /* read only; may not overlap param or state */
    fo_strides grad_strides;     /* of a dense gradient */
    fo_positions at;             /* of a sparse gradient */
    int64_t *last_step;          /* NULL, or for each row the step of its history with which it is current; written */
    fo_history *history;         /* what rows that are behind have missed; NULL: their state alone decays */
    ptrdiff_t row_width;         /* entries of the parameter in a row: size / row_width entries of last_step */
    void *state[FO_MAX_SLOTS];   /* of the sizes of fo_per; NULL for slots that options leave out, and reduced ones */
    const fo_reduced *reduced;   /* NULL unless there are such slots */
    ptrdiff_t first;             /* of a view: the entry of the array that it begins with; else 0 */
    ptrdiff_t rows, columns;     /* of its matrices, the last two axes; a vector is one row */
    int is_matrix;               /* or a stack of them: it has two axes at least */
    int group;                   /* its index among the groups of the optimizer */
    fo_own *own;                 /* NULL unless the rule has sums over arrays, or scalars for each */
} fo_array;

/* All arrays of one optimizer, as one list of blocks that is split by bytes, not by arrays. A block is about
 * FO_BLOCK_BYTES of parameters, or as many positions as cost the same. */
enum { FO_BLOCK_BYTES = 4096 };
typedef struct {
    fo_array *arrays;            /* n_arrays entries; the caller's */
    ptrdiff_t *first_block;      /* n_arrays + 1: the number of blocks in the arrays before each; fo_plan writes it */
    ptrdiff_t n_arrays;
    int by_rows;                 /* a dense pass counts rows, not entries: the rule takes rows as a whole */
} fo_work;

/* --- rules ------------------------------------------------------------------------------------------------------ */

/* Decoupled weight decay: what parameters are multiplied by. See update/decay.h. */
typedef struct {
    double factor;               /* in float64 */
    double due;                  /* in float32, which may not hold it: 1 in one step, and so much more in another */
} fo_decay;

/* The scalars of one step, common to the arrays of a group, in double; kernels round them once to their dtype. */
typedef struct {
    double coef[FO_MAX_COEFS];   /* what the rule's prepare made of hyper-parameters and learning rate */
    int64_t t;                   /* number of this step, from 1 */
    double clip_value;           /* |g| is limited to this first; infinity: no limit */
    double grad_scale;           /* then g is multiplied: norm clipping, and -1 to maximize */
    double l2;                   /* then l2 * p is added to g */
    fo_decay decay;              /* and p is multiplied by this: decoupled weight decay */
    fo_decay own_decay;          /* the same of a rule that has it among its scalars */
    int modified;                /* FO_MODIFIED if one of the four before that is in use, else 0 */
    fo_lanes *lanes;             /* what a kernel that sums adds to */
} fo_step;

/* Some arrays that have their hyper-parameters in common, and what steps make of these. */
typedef struct {
    double hyper[FO_MAX_HYPER];  /* in the order of the rule's names; set by the caller, like the next two */
    double weight_decay;
    double learning_rate;        /* of the step to come */
    double carried[FO_N_CARRIED];   /* scalars that pass from step to step; fo_prepare writes them */
    fo_step step;                /* clip_value is the caller's, the rest is set by the three parts of a step below */
} fo_group;

/* A serial pass over the units [lo, hi) of one array: entries, or positions of its gradient. */
typedef void fo_kernel(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi);

/* One that stages entries for the dense kernel of a form. */
typedef void fo_staging_kernel(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi,
                               fo_kernel *dense);

/* The form of a kernel, which of its specialisations it is: bit 0 is FO_MODIFIED (any of the four scalars of fo_step
 * after t is in use), which each group has for itself, bit k + 1 is the rule's option k. */
enum { FO_MODIFIED = 1 };

/* update/lines.h: kernels over rows and columns of matrices, and what they work on. */
typedef struct fo_line_kernels fo_line_kernels;
typedef struct fo_lines fo_lines;
/* update/orthogonal.h: the same for making directions orthogonal. */
typedef struct fo_orthogonal_kernels fo_orthogonal_kernels;
typedef struct fo_orthogonal fo_orthogonal;

/* The kernels of a rule for one instruction set and dtype. */
typedef struct {
    fo_kernel *initialise;       /* fills the state from the parameters */
    fo_kernel *flush;            /* [lo, hi) of last_step: these rows up to now */
    fo_kernel *catch_up;         /* [lo, hi) are positions of rows that are behind */
    size_t past_bytes;           /* FO_FADES: of the scalars of one step, and what puts those of a step at a place */
    void (*remember)(const fo_step *step, void *past, ptrdiff_t place);
    void (*rest_map)(const fo_step *step, double *map);   /* factor and addend of the parameter and each slot */
    fo_kernel *const *dense;     /* indexed by form, like the next */
    fo_kernel *const *rows;      /* [lo, hi) are positions of the gradient; NULL where entries are coupled */
    fo_staging_kernel *const *elements;   /* the same, by form / 2; NULL for rules that take whole rows, too */
    fo_kernel *const *measure;   /* the sums before a step, of FO_GRADIENT_BUFFER entries at most; NULL without any */
    const fo_line_kernels *lines;   /* NULL unless the rule is by_lines */
    const fo_orthogonal_kernels *orthogonal;   /* NULL unless it orthogonalises */
} fo_rule_kernels;

/* What a step with a zero gradient does: nothing; it only multiplies the state by a factor; or it moves the
 * parameter. Decides how a sparse gradient can mean the same as a dense one. */
typedef enum { FO_MOVES, FO_STAYS, FO_DECAYS } fo_zero_gradient;

/* What a slot holds, which says how it may be stored: what has to be exact, a moment, or a second moment, which is
 * never negative and needs few digits. */
typedef enum { FO_WHOLE, FO_MOMENT, FO_SECOND_MOMENT } fo_content;

/* How entries catch up with many steps of zero gradients: not at all, by one linear map, or by few of these steps,
 * after which the parameter and each slot are multiplied. See update/catch_up.h. */
typedef enum { FO_NO_REST, FO_LINEAR, FO_FADES } fo_rest;

/* What a slot has one number for: a row is all that one index of the first axis selects; the rows of matrices are those
 * of the last two axes. A sum of the last step has the three of fo_sum. Numbers of whole arrays are double. */
typedef enum {
    FO_PER_ENTRY,
    FO_PER_ROW,
    FO_PER_ARRAY,
    FO_SUM_PER_ARRAY,
    FO_PER_MATRIX_ROW,
    FO_PER_MATRIX_COLUMN
} fo_per;

typedef struct {
    const char *name;
    int options;                 /* form bits that must be set for the slot to exist; 0: always there */
    fo_per per;
    int starts_at_zero;
    int kept;                    /* filled once, from the parameters, and never written by a step */
} fo_slot;

/* What the scalars of a step are made of. */
typedef struct {
    const double *hyper;         /* in the order of the rule's names */
    double learning_rate;
    int64_t t;                   /* number of the step, from 1 */
    double value;                /* of what is minimized, for rules that use it; else NaN */
    const fo_sums *sums;         /* over all arrays; NULL while those before the step are still to be taken */
} fo_inputs;

/* An update rule: its names, in the order of the arrays that carry their values, and its functions. Constant. */
typedef struct {
    const char *name;
    const char *const *hyper;    /* names of hyper-parameters; NULL-terminated, like the following lists */
    const char *const *options;  /* names of hyper-parameters; one that is non-zero sets its form bit */
    const char *const *carry;    /* names of the scalars that pass from step to step */
    const fo_slot *slots;
    const fo_content *content;   /* of each slot */
    int own_weight_decay;        /* it decays the parameter itself, and fo_step's l2 and decay are not used */
    int has_decay;               /* its scalars have a decay of the parameter, be it weight decay or another */
    int sums_before, sums_during;   /* how many sums over arrays; those before the step come first */
    int sums_of_gradients;       /* bit k: sum k is zero without a gradient; the others stay as they were */
    int by_rows;                 /* it has sums over rows, or slots with a number for each */
    int by_lines;                /* the same of rows and columns of matrices */
    int orthogonalises;          /* its directions, by matrices */
    int uses_value;
    void (*start)(double *carry);    /* writes the first values of carry */
    /* The scalars; updates `carry`, and returns the factor by which they decay the parameter: 1 for most rules. */
    double (*prepare)(const fo_inputs *in, double *carry, double *coef);
    void (*adjust)(const fo_inputs *in, const fo_array *array, double *coef);   /* then those of one array; or NULL */
    /* Or NULL: those once more, from the sums between. Needs adjust. */
    void (*settle)(const double *hyper, const fo_array *array, double *coef);
    fo_zero_gradient (*zero_gradient)(int form);
    fo_rest rest;                /* without l2, which makes most rules FO_NO_REST */
    int rests_with_l2;           /* but not this one */
    double (*rest_ratio)(const double *hyper, int form);   /* FO_FADES: of a step's terms to those before it */
    int (*rests_by_root)(const double *hyper, int form);   /* whether rest() is what update() does; or NULL */
    const fo_rule_kernels *const *kernels;   /* [instruction set][dtype] */
} fo_rule;

/* core/dispatch.c */
extern const fo_rule *const fo_rules[];                      /* NULL-terminated, sorted by name */
const fo_rule *fo_find_rule(const char *name);               /* NULL if there is none */
const char *fo_isa_name(int isa);                            /* NULL past the last one */
int fo_isa_supported(int isa);                               /* by this build and this processor */
int fo_isa_in_use(void);
const char *fo_compiler(void);                               /* that built the kernels */
void fo_use_isa(int isa);                                    /* must be supported */
const fo_rule_kernels *fo_kernels_of(const fo_rule *rule, int dtype);
const char *fo_dtype_name(int dtype);                        /* NULL past the last one */
size_t fo_itemsize(int dtype);
int fo_kernels_decode(void);                                 /* whether those in use read reduced slots */
int fo_variant_index(int dtype);                             /* in a kernel table, for the instruction set in use */

/* --- one pass over all arrays ----------------------------------------------------------------------------------- */

/* update/blocks.c: over all arrays of the work list, on at most num_threads threads. fo_plan lays the blocks out for
 * the gradients that are bound, and must be called first; it returns the bytes of work. */
enum { FO_INITIALISE = -1, FO_FLUSH = -2, FO_CATCH_UP = -3 };   /* in the place of a form */
ptrdiff_t fo_plan(const fo_work *work, int form);
void fo_update(const fo_work *work, const fo_rule *rule, int form, const fo_group *groups, int num_threads);
/* Whether the step of each entry depends on all others of its array. */
int fo_couples(const fo_rule *rule);

/* update/storage.c: an array from an entry on, without a gradient. */
fo_array fo_view_from(const fo_rule *rule, const fo_array *array, ptrdiff_t entry);
/* The bytes that codes of 8 bits take, with their offsets; the codes that lie in such memory; and a whole slot in the
 * dtype of its parameter and back, rounded as before the first step. */
size_t fo_log8_bytes(ptrdiff_t size);
fo_codes fo_codes_at(fo_storage storage, ptrdiff_t size, void *memory);
void fo_decode_slot(const fo_array *array, int slot, void *values);
void fo_encode_slot(const fo_array *array, int slot, const void *values);
/* Entries at a time that pass through the cache: rows of a rule that takes whole rows have no more. */
enum { FO_VIEW_ENTRIES = 1024 };

/* update/strided_gradient.c: address of entry lo of [lo, hi) of the gradient as the parameter sees it. A contiguous
 * gradient is used in place; one with strides is gathered and a sparse one expanded with zeros into `buffer` (of
 * hi - lo entries, at most FO_GRADIENT_BUFFER). */
enum { FO_GRADIENT_BUFFER = 2048 };
const void *fo_dense_gradient(const fo_array *array, ptrdiff_t lo, ptrdiff_t hi, void *buffer);

/* update/partition.c: bytes of workspace with which sorting the entries of a large parameter by region pays, 0 if it
 * does not; and a view of the array whose positions [lo, hi) and their gradients lie in that workspace, sorted. */
size_t fo_partition_workspace(const fo_array *array);
fo_array fo_partition(const fo_array *array, ptrdiff_t lo, ptrdiff_t hi);

/* update/catch_up.c: the bytes of one map, and of the scalars of one step in a dtype, or 0; the steps of a history are
 * forgotten, as all rows are up to date; and one more is added, of an array with these hyper-parameters. There must be
 * memory for it. */
size_t fo_map_bytes(const fo_rule *rule);
size_t fo_past_bytes(const fo_rule *rule, int dtype);
void fo_forget_steps(fo_history *history);
void fo_remember_step(fo_history *history, const fo_step *step, const double *hyper);
/* Those of n rows that are behind, each once: their number; last_step is complemented for them. */
ptrdiff_t fo_claim_rows(const fo_array *array, const void *index, int index64, ptrdiff_t n, int64_t *behind);

/* update/sums.c: the most parts that a sum over all arrays is taken in, and one more for each array. */
enum { FO_MAX_CHUNKS = 1024 };

/* update/lines.c: for a rule that is by_lines, the bytes of workspace, zeroed, that fo_bind_lines cuts up. */
size_t fo_lines_workspace(const fo_work *work);
fo_lines *fo_bind_lines(const fo_work *work, void *workspace);

/* update/orthogonal.c: the same for one that orthogonalises; `workspace` for the largest matrix. */
size_t fo_orthogonal_workspace(const fo_work *work);
fo_orthogonal *fo_bind_orthogonal(const fo_work *work, void *workspace);

/* --- a step ----------------------------------------------------------------------------------------------------- */

/* What becomes of a step whose gradient is not finite. */
typedef enum { FO_PROPAGATE, FO_SKIP, FO_RAISE } fo_nonfinite;

/* An optimizer: a rule with its values, bound to arrays. Copies with arrays and groups of their own are optimizers,
 * too. */
typedef struct {
    const fo_rule *rule;
    fo_work work;
    fo_group *groups;            /* n_groups entries, the caller's; the first may have no arrays */
    ptrdiff_t n_groups;
    int form;                    /* the options alone; a group's step adds FO_MODIFIED */
    double sign;                 /* -1 to maximize */
    double clip_norm;            /* of the gradients of all arrays together; infinity: none */
    int decoupled;               /* weight decay multiplies the parameter, else it is added to the gradient */
    fo_nonfinite nonfinite;
    fo_lines *lines;             /* n_arrays entries, by fo_bind_lines; NULL unless the rule is by_lines */
    fo_orthogonal *orthogonal;   /* by fo_bind_orthogonal; NULL unless the rule orthogonalises */
    fo_sums *partial;            /* FO_MAX_CHUNKS + n_arrays entries; NULL unless fo_couples */
    int64_t t;                   /* completed steps; fo_apply counts */
    double norm;                 /* of the last gradient, with clip_norm; fo_check_gradient writes it */
    double value;                /* of the objective at this step, for rules that use it; the caller sets it */
    fo_sums total;               /* of all arrays: what fo_inputs points to */
} fo_optimizer;

/* update/gradient_norm.c: norm and finiteness of all gradients, in one read. A chunk of FO_STATS_ENTRIES values of an
 * array is summed in double, and the sums of chunks are added without rounding. So the stats of parts of arrays which
 * begin with a multiple of that many entries add to those of the whole, in any grouping. */
enum { FO_STATS_ENTRIES = 4096 };
typedef struct {
    fo_exact squares;            /* of min(max(g, -clip), clip); 0 if they are not wanted */
    int finite;                  /* every gradient; 1 if it is not wanted, either */
} fo_gradient_stats;
void fo_measure_gradients(const fo_optimizer *it, int want_norm, int want_finite, int num_threads,
                          fo_gradient_stats *stats);

/* update/exact_sums.c: carries all digits, such that equal sums have equal digits; the sum, and its root. */
void fo_carry(fo_exact *sum);
double fo_exact_value(const fo_exact *sum);
double fo_exact_root(const fo_exact *sum);

/* update/step.c: a step on planned work in three parts, so that nothing is written before all is checked. */
/* Norm and finiteness, which may be `known` (else NULL), and the rule's sums before the step; 0: the gradient is not
 * finite, or the value. */
int fo_check_gradient(fo_optimizer *it, const fo_gradient_stats *known, int num_threads);
void fo_prepare(fo_optimizer *it);
/* The first values of what is carried; and whether it is of use, beyond the step itself. */
void fo_start_carried(const fo_rule *rule, double *carried);
int fo_carries(const fo_optimizer *it);
/* The scalars of a group in step t alone, without sums; those in `carried` are updated. */
void fo_prepare_scalars(const fo_optimizer *it, fo_group *group, int64_t t, double *carried);
void fo_apply(fo_optimizer *it, int num_threads);

/* --- threads and memory ----------------------------------------------------------------------------------------- */

/* core/workers.c: once, before the first shared work; 0 without memory. */
int fo_expect_forks(void);

/* core/parallel.c: shared work. Each thread is given a contiguous share of [0, n). */
typedef void fo_task(const void *context, ptrdiff_t lo, ptrdiff_t hi);
void fo_parallel_for(ptrdiff_t n, int num_threads, fo_task *task, const void *context);
int fo_has_openmp(void);
int fo_openmp_max_threads(void);     /* of the calling thread: OMP_NUM_THREADS, threadpoolctl; else 1 */
int fo_useful_threads(ptrdiff_t bytes, int num_threads);   /* fewer for little work, or while workers wake slowly */
void fo_always_share(int flag);      /* whether slow workers are overlooked: for tests of shared work */
int fo_try_acquire(int *busy);       /* atomic: 1 and *busy set, or 0 if it was set already */
void fo_release(int *busy);

/* core/memory.c */
void fo_advise_huge_pages(void *start, size_t bytes);

/* core/bandwidth.c: an in-place pass over one read stream and n <= FO_MAX_STREAMS read-write streams of `bytes` each,
 * no arithmetic. */
void fo_bandwidth_pass(const void *read, void *const *readwrite, int n, ptrdiff_t bytes, int num_threads);

#endif
