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
    ptrdiff_t n_mean;            /* samples of the mean: those of the batch, or of all parts of a shared one */
} fo_minibatch;

/* The distinct columns of CSR samples. Reads no parameters, so another thread may do it while the batch before runs. */
void fo_collect_columns(const fo_minibatch *it);

/* What goes before and after the columns in `touched` are found: room in what is noted of columns that were seen, whose
 * base moves on; the column of the intercepts. */
void fo_begin_collecting(const fo_minibatch *it);
void fo_end_collecting(const fo_minibatch *it);

/* After the columns were collected. Whether the segment goes on after this batch. */
int fo_run_minibatch(const fo_minibatch *it);

/* Its two halves. The first returns the sum of the losses over n_mean, and leaves its gradient to the worker unless
 * that is not finite; the second makes the step with what the worker has, and notes the loss. */
double fo_minibatch_gradient(const fo_minibatch *it);
int fo_minibatch_step(const fo_minibatch *it, double loss);

/* The parameters of the columns in `touched`, up to date and side by side. Once more before the same step changes
 * nothing. */
void fo_gather_touched(const fo_minibatch *it);

/* Deferred steps: the columns that are bound, or all with FO_FLUSH, catch up with the steps so far. */
void fo_catch_up_columns(const fo_minibatch *it, fo_array columns, int form, int num_threads);

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
