/* rows.h -- what is done with a batch of rows of a matrix: the table of its kernels, serial all. */
#ifndef FO_ROWS_H
#define FO_ROWS_H

#include "finite_sum/objective.h"

/* Columns that were seen, by the place that each had in its batch: `base` and the place; less if not in the present
 * batch. So nothing has to be cleared between batches. */
typedef struct {
    int32_t *column;             /* one per column of the matrix */
    int32_t base;
} fo_seen;

/* The columns that a batch touches, each once, and for each entry of the batch the place of its column. */
typedef struct {
    void *column;                /* n distinct columns, in the index type of the matrix */
    int32_t *place;              /* n_entries */
    ptrdiff_t n, n_entries;
} fo_touched;

typedef struct {
    void (*margins)(const fo_objective *it, fo_batch batch, const void *w, void *z);
    void (*add_dense)(const fo_objective *it, fo_batch batch, const void *d, ptrdiff_t lo, ptrdiff_t hi, void *g);
    void (*add_sparse)(const fo_objective *it, fo_batch batch, const void *d, double *g);
    void (*add_intercepts)(const fo_objective *it, ptrdiff_t n, const void *d, double *g);
    void (*add_widened)(const void *from, ptrdiff_t n, double *to);
    void (*labels)(const fo_objective *it, fo_batch batch, double scale, void *labels, void *weights);
    void (*collect)(const fo_objective *it, fo_batch batch, fo_seen *seen, fo_touched *to);
    void (*gather)(const fo_objective *it, const fo_touched *touched, const void *w, void *to);
    void (*margins_of_touched)(const fo_objective *it, fo_batch batch, const fo_touched *touched, ptrdiff_t lo,
                               ptrdiff_t hi, ptrdiff_t entry, const void *gathered, const void *intercept, void *z);
    void (*add_touched)(const fo_objective *it, fo_batch batch, const fo_touched *touched, const void *d, void *g);
    void (*sum_derivatives)(const void *d, ptrdiff_t n, ptrdiff_t n_outputs, void *to);
    void (*add_penalty)(const void *w, ptrdiff_t n, double l2, double l1, void *g);
    double (*sum_squares)(const void *values, ptrdiff_t n);
} fo_row_kernels;

const fo_row_kernels *fo_row_kernels_of(int dtype);

#endif
