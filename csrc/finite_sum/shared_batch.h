/* shared_batch.h -- a mini-batch whose samples several processes have. Each computes the gradients of its parts; the
 * caller passes them on, and gives each process those of all parts in one order, so that all make the same step. */
#ifndef FO_SHARED_BATCH_H
#define FO_SHARED_BATCH_H

#include "finite_sum/minibatch.h"

/* A batch is a segment of its own, for which fo_start_worker is called. The share that the samples of the segment have
 * in a mean loss over n_mean samples, those of all parts. The gradient is the worker's: of CSR samples a row for each
 * of touched[0], the intercepts' last; of others, of all parameters. It is not written if the loss is not finite. */
double fo_part_gradient(const fo_segment *segment, fo_worker *worker, ptrdiff_t n_mean);

/* The gradients of all parts of CSR samples, one after the other, as they were given: n columns, those of a part each
 * once, with a row for each. n_features stands for the column of the intercepts. The arrays are the caller's. */
typedef struct {
    const void *columns;         /* indices like the matrix's */
    const void *rows;            /* n x n_outputs */
    ptrdiff_t n;
    int32_t *place;              /* n, written: where the column stands among the distinct ones, -1: the intercepts */
} fo_part_gradients;

/* The worker's gradient becomes the sum of these, added in their order. */
void fo_add_parts(const fo_segment *segment, fo_worker *worker, const fo_part_gradients *given);

/* The step with the worker's gradient, of a mean loss over n_mean samples. */
void fo_step_shared(const fo_segment *segment, fo_worker *worker, ptrdiff_t n_mean, double loss);

#endif
