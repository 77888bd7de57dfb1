/* objective.h -- the C ABI of finite sums: a loss over the rows of a matrix, and what epochs need of it.
 *
 * Samples are rows x_i; their margins are z_i = x_i . w (+ intercept), K of them for a loss with several outputs.
 * Parameters are w of n_features x n_outputs entries, row by row, then n_outputs intercepts if there are any. */
#ifndef FO_OBJECTIVE_H
#define FO_OBJECTIVE_H

#include "fastopt.h"

/* Of n samples, from their margins (n x n_outputs), labels and weights: returns the sum of weight * loss and writes
 * weight * derivative over `derivative`, which may be the margins' own memory. */
typedef double fo_loss_kernel(const void *margin, const void *label, const void *weight, ptrdiff_t n,
                              ptrdiff_t n_outputs, double shape, void *derivative);

typedef struct {
    const char *name;
    fo_loss_kernel *const *variants;     /* [instruction set][dtype] */
} fo_loss;
extern const fo_loss *const fo_losses[]; /* NULL-terminated, sorted by name */

/* Data are read only, and valid: columns in [0, n_features), ascending in a row, none twice; everything finite. */
typedef struct {
    ptrdiff_t n_samples, n_features, n_outputs;
    int dtype;
    int sparse;                  /* CSR; else dense rows */
    int wide;                    /* of CSR: row_start and column are int64, else int32 */
    int intercept;
    const void *value;
    ptrdiff_t row_stride;        /* of dense rows, in entries */
    const void *column;
    const void *row_start;       /* n_samples + 1 entries */
    const void *label, *weight;  /* one per sample */
    const fo_loss *loss;
    double shape;                /* of the loss: Huber's delta */
} fo_objective;

/* A batch: `n` samples, at `sample`, or from `first` on if that is NULL; `more` follow them and may be fetched. */
typedef struct {
    const int64_t *sample;
    ptrdiff_t first, n, more;
} fo_batch;

ptrdiff_t fo_batch_entries(const fo_objective *objective, fo_batch batch);

/* inspect.c: what is wrong with the data, of those things that are taken for granted above; 0: nothing. Labels, weights
 * and loss are not looked at, and row_start has been checked: it begins with 0, ascends, and fits the arrays. And the
 * largest weight * (|x|^2 + 1 for an intercept) of a sample, which overflows to infinity; the same bits for any number
 * of threads. */
enum { FO_NOT_FINITE = 1, FO_OUT_OF_RANGE = 2, FO_NOT_ASCENDING = 4 };
int fo_inspect(const fo_objective *objective, int num_threads);
double fo_largest_norm(const fo_objective *objective, int num_threads);

/* evaluate.c: sum of weight * loss over a batch, in at most FO_CHUNKS chunks that depend on the data alone: the same
 * bits for any number of threads, with and without a gradient. `gradient` is NULL, or fo_evaluation_room doubles of
 * which the first n_parameters become the sum of the gradients. `derivative` (n x n_outputs entries of the dtype)
 * becomes the weighted derivatives. */
enum { FO_CHUNKS = 16 };
size_t fo_evaluation_room(const fo_objective *objective, fo_batch batch);
double fo_evaluate(const fo_objective *objective, const void *w, fo_batch batch, void *derivative, double *gradient,
                   int num_threads);

#endif
