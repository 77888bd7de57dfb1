/* objective.h -- the C ABI of finite sums: a loss over the samples of a matrix, and what epochs need of it.
 *
 * Samples are the rows x_i of a matrix X; their margins are z_i = x_i . w (+ intercept), K of them for a loss with
 * several outputs. Parameters are w of n_features x n_outputs entries, row by row, then n_outputs intercepts if there
 * are any. */
#ifndef FO_OBJECTIVE_H
#define FO_OBJECTIVE_H

#include "fastopt.h"

typedef struct fo_objective fo_objective;

/* Of n labels, whose margins (one each, or n x n_outputs where a sample has one label), and weights are given side by
 * side in the objective's dtype: returns the sum of weight * loss, and writes weight * derivative by the margin over
 * `derivative`, which is like the margins, and may be their memory. */
typedef double fo_loss_kernel(const fo_objective *it, const void *margin, const void *label, const void *weight,
                              ptrdiff_t n, void *derivative);

/* How far the margin of a label goes in an invariant step of some time (finite_sum/invariant.h). */
typedef double fo_invariant_kernel(const fo_objective *it, double margin, double label, double time);

typedef struct {
    fo_loss_kernel *labels;
    fo_invariant_kernel *invariant;      /* NULL where a sample has several margins */
} fo_loss_kernels;

typedef struct {
    const char *name;
    const fo_loss_kernels *const *kernels;   /* [instruction set][dtype] */
} fo_loss;

/* core/dispatch.c */
extern const fo_loss *const fo_losses[]; /* NULL-terminated, sorted by name */
const fo_loss *fo_find_loss(const char *name);   /* NULL if there is none */

/* The format of a matrix: rows of entries side by side, or CSR with int32 or int64 indices and indptr. */
typedef enum { FO_DENSE_SAMPLES, FO_CSR32, FO_CSR64 } fo_format;

/* An objective over data that are read only, belong to the caller, and are valid: indices in [0, n_features), ascending
 * in a sample, none twice; everything finite. */
struct fo_objective {
    ptrdiff_t n_samples, n_features;    /* rows and columns of X */
    ptrdiff_t n_outputs;         /* margins of a sample: K */
    ptrdiff_t n_labels;          /* labels of a sample: K independent targets, a margin each; or 1 */
    int dtype;                   /* of data, labels, weights and parameters */
    fo_format format;
    int intercept;               /* whether there are intercepts */
    const void *data;            /* n_samples x n_features, or the entries of CSR */
    ptrdiff_t sample_stride;     /* of dense samples, in entries */
    const void *indices;         /* of CSR: for each entry its column */
    const void *indptr;          /* of CSR: n_samples + 1 entries */
    const void *label, *weight;  /* n_samples x n_labels; n_samples */
    const void *linear;          /* of all parameters: linear . w is part of the objective; or NULL */
    const fo_loss *loss;
    double loss_parameter;       /* the loss's own: Huber's delta */
};

/* A batch of samples; the array belongs to the caller. */
typedef struct {
    const int64_t *sample;       /* n numbers of samples, or NULL: those from `first` on */
    ptrdiff_t first;
    ptrdiff_t n;
    ptrdiff_t more;              /* numbers that follow in `sample` and may be fetched ahead */
} fo_batch;

/* Entries of the samples of a batch. */
ptrdiff_t fo_batch_entries(const fo_objective *objective, fo_batch batch);

/* finite_sum/validate.c: what is wrong with the data, of those things that are taken for granted above; 0: nothing.
 * Labels, weights and loss are not looked at, and indptr has been checked: it begins with 0, ascends, and fits the
 * arrays. And the largest weight * (|x|^2 + 1 for an intercept) of a sample, which overflows to infinity; the same bits
 * for any number of threads. */
enum { FO_NOT_FINITE = 1, FO_OUT_OF_RANGE = 2, FO_NOT_ASCENDING = 4 };
int fo_validate_samples(const fo_objective *objective, int num_threads);
double fo_largest_norm(const fo_objective *objective, int num_threads);

/* finite_sum/full_gradient.c: sum of weight * loss over a batch, in at most FO_CHUNKS chunks that depend on the data
 * alone: the same bits for any number of threads, with and without a gradient. `gradient` is NULL, or
 * fo_gradient_workspace doubles of which the first n_parameters become the sum of the gradients. `derivative`
 * (n x n_outputs entries of the dtype) becomes the weighted derivatives. */
enum { FO_CHUNKS = 16 };
size_t fo_gradient_workspace(const fo_objective *objective, fo_batch batch);
double fo_evaluate(const fo_objective *objective, const void *w, fo_batch batch, void *derivative, double *gradient,
                   int num_threads);

#endif
