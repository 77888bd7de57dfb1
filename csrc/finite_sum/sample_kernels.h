/* sample_kernels.h -- what is done with a batch of samples: the table of the kernels, all of them serial. */
#ifndef FO_SAMPLE_KERNELS_H
#define FO_SAMPLE_KERNELS_H

#include "finite_sum/objective.h"

/* Columns that were seen: place[column] - base is the place of a column among those of the present batch, negative if
 * it is not in it. base grows from batch to batch, so nothing has to be cleared; fo_collect_columns moves it on. */
typedef struct {
    int32_t *place;              /* one per column of the matrix; the worker's memory, written by `collect` */
    int32_t base;
} fo_seen;

/* The columns that a batch touches, each once, and for each entry of the batch the place of its column among them. The
 * memory is the worker's; `collect` writes it, and fo_collect_columns the intercept. */
typedef struct {
    void *columns;               /* n distinct columns, then that of the intercept; indices like the matrix's */
    void *positions; /* of these among the parameters of one output: the columns, or where their records are */
    int32_t *place; /* n_entries */
    ptrdiff_t n, n_entries;
} fo_touched;

/* A batch of CSR samples whose columns were collected. */
typedef struct {
    const fo_objective *objective;
    fo_batch batch;
    const fo_touched *touched;
} fo_collected;

/* Parameters of the touched columns, side by side, n x n_outputs; and the intercepts, or NULL. */
typedef struct {
    const void *weights, *intercept;
} fo_gathered;

/* Margins z, derivatives d and gradients g are of n_outputs entries for each sample or column, of the objective's dtype
 * unless double is said. */
typedef struct {
    /* z of a batch at the parameters w. */
    void (*margins)(const fo_objective *it, fo_batch batch, const void *w, void *z);
    /* g += sum of d_i x_i over the columns [lo, hi) of dense samples. */
    void (*add_dense)(const fo_objective *it, fo_batch batch, const void *d, ptrdiff_t lo, ptrdiff_t hi, void *g);
    /* The same of CSR samples, over all columns. */
    void (*add_csr)(const fo_objective *it, fo_batch batch, const void *d, double *g);
    /* g += sum of the d of n samples, the gradient of the intercepts. */
    void (*add_intercepts)(const fo_objective *it, ptrdiff_t n, const void *d, double *g);
    void (*add_widened)(const void *from, ptrdiff_t n, double *to);
    /* The labels [lo, hi) of a batch, those of a sample side by side; for each the sample's weight times `scale`. */
    void (*labels)(const fo_objective *it, fo_batch batch, ptrdiff_t lo, ptrdiff_t hi, double scale, void *labels,
                   void *weights);
    /* The distinct columns of a batch in the order of their first entries, and each entry's place. */
    void (*collect)(const fo_objective *it, fo_batch batch, fo_seen *seen, fo_touched *to);
    /* The positions of the first n columns, `spacing` times these. */
    void (*position)(const fo_touched *touched, int index64, ptrdiff_t n, ptrdiff_t spacing);
    /* Parameters w at the positions of the touched columns, side by side. */
    void (*gather)(const fo_objective *it, const fo_touched *touched, const void *w, void *to);
    /* z of the samples [lo, hi) of the batch; the entries of sample lo stand from `entry` on. */
    void (*margins_of_touched)(const fo_collected *it, const fo_gathered *w, ptrdiff_t lo, ptrdiff_t hi,
                               ptrdiff_t entry, void *z);
    /* g += sum of d_i x_i, a row for each touched column. */
    void (*add_touched)(const fo_collected *it, const void *d, void *g);
    /* g += n rows, each at its place, or at `last` if that is negative. */
    void (*add_rows)(const int32_t *place, ptrdiff_t n, ptrdiff_t n_outputs, ptrdiff_t last, const void *rows, void *g);
    /* to[k] = sum of the d of output k over n samples. */
    void (*sum_derivatives)(const void *d, ptrdiff_t n, ptrdiff_t n_outputs, void *to);
    /* g += linear, for n parameters; and linear . w of them. */
    void (*add_linear)(const void *linear, ptrdiff_t n, void *g);
    double (*linear_value)(const void *linear, const void *w, ptrdiff_t n);
    /* g += l2 w + l1 sign(w) */
    void (*add_penalty)(const void *w, ptrdiff_t n, double l2, double l1, void *g);
    /* l2 / 2 sum of w^2 + l1 sum of |w| */
    double (*penalty_value)(const void *w, ptrdiff_t n, double l2, double l1);
    double (*sum_squares)(const void *values, ptrdiff_t n);
} fo_sample_kernels;

const fo_sample_kernels *fo_sample_kernels_of(int dtype);

#endif
