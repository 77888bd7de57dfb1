/* minibatch.h -- one mini-batch of a segment: margins, losses, the gradient, the step. */
#ifndef FO_MINIBATCH_H
#define FO_MINIBATCH_H

#include "finite_sum/epoch.h"

/* A mini-batch, and what works on it. Nothing is owned. */
typedef struct {
    const fo_segment *segment;
    const fo_objective *objective;
    const fo_sample_kernels *kernels;   /* of the objective's dtype */
    fo_worker *worker;           /* whose memory is written */
    fo_batch batch;              /* its samples */
    fo_touched *touched;         /* of CSR samples: one of the worker's two */
    ptrdiff_t number;            /* of the batch in the segment, from 0 */
    int64_t t;                   /* steps made before this one: its number, from 0 */
    size_t itemsize;             /* bytes of the dtype */
} fo_minibatch;

/* The distinct columns of CSR samples. Reads no parameters, so another thread may do it while the batch before runs. */
void fo_collect_columns(const fo_minibatch *it);

/* After the columns were collected. Whether the segment goes on after this batch. */
int fo_run_minibatch(const fo_minibatch *it);

/* Deferred steps: the columns that are bound, or all with FO_FLUSH, catch up with the steps so far. */
void fo_catch_up(const fo_minibatch *it, fo_array columns, int form, int num_threads);

/* Bytes of n rows of the parameters, one for each of n columns. */
static inline size_t fo_rows_size(const fo_minibatch *it, ptrdiff_t n)
{
    return (size_t)(n * it->objective->n_outputs) * it->itemsize;
}

static inline char *fo_param_of(const fo_minibatch *it) { return it->worker->array.param; }

/* Plans and makes the step of an optimizer that is prepared. */
static inline void fo_run_planned(fo_optimizer *optimizer, int num_threads)
{
    const ptrdiff_t bytes = fo_plan(&optimizer->work, optimizer->form);
    fo_apply(optimizer, num_threads == 1 ? 1 : fo_useful_threads(bytes, num_threads));
}

#endif
