/* epoch.c -- the mini-batches of a segment: one after the other, with the next one's columns collected on a second
 * thread, or lock-free side by side (Hogwild, Niu et al. 2011); and the flush. */
#include "finite_sum/samples.h"
#include "finite_sum/closed_form.h"
#include "finite_sum/minibatch.h"
#include "finite_sum/scaled_sgd.h"
#include "finite_sum/single_sample_sgd.h"

static fo_minibatch minibatch_of(const fo_segment *segment, fo_worker *worker, ptrdiff_t number)
{
    const fo_objective *objective = segment->objective;
    const ptrdiff_t lo = number * segment->batch_size, hi = lo + segment->batch_size;
    fo_minibatch it = {
        .segment = segment,
        .objective = objective,
        .kernels = fo_sample_kernels_of(objective->dtype),
        .worker = worker,
        .batch = batch_slice(segment->samples, lo, hi < segment->samples.n ? hi : segment->samples.n),
        .touched = &worker->touched[segment->pipelined ? number % 2 : 0],
        .number = number,
        .t = segment->optimizer->t + number,
        .itemsize = fo_itemsize(objective->dtype),
    };
    it.n_mean = it.batch.n;
    return it;
}

/* --- batches ---------------------------------------------------------------------------------------------------- */

/* A batch, and the next, whose columns are collected meanwhile. */
typedef struct {
    const fo_minibatch *now, *next;
    int *goes_on;                /* written: whether the segment does after the first */
} pipeline_stage;

static void run_and_collect(const void *context, ptrdiff_t first, ptrdiff_t last)
{
    const pipeline_stage *it = context;
    for (ptrdiff_t k = first; k < last; ++k) {
        if (k == 0)
            *it->goes_on = fo_run_minibatch(it->now);
        else
            fo_collect_columns(it->next);
    }
}

/* CSR batches on two threads. The table of seen columns stays in the cache of one, parameters and state in that of
 * the other. */
static void run_pipelined(const fo_segment *segment, fo_worker *worker)
{
    fo_minibatch now = minibatch_of(segment, worker, 0);
    int goes_on = 1;
    fo_collect_columns(&now);
    for (ptrdiff_t number = 1; goes_on && !fo_interrupted(segment->poll); ++number) {
        const fo_minibatch next = minibatch_of(segment, worker, number);
        const pipeline_stage both = {&now, &next, &goes_on};
        if (number == segment->n_batches) {
            fo_run_minibatch(&now);
            return;
        }
        fo_parallel_for(2, 2, run_and_collect, &both);
        now = next;
    }
}

/* Skips a batch with a bad gradient, which ends a segment otherwise: other lock-free workers cannot be stopped. */
static int is_skipped(const fo_segment *segment, fo_worker *worker)
{
    if (segment->n_workers == 1 || segment->optimizer->nonfinite != FO_SKIP || worker->end != FO_BAD_GRADIENT)
        return 0;
    worker->end = FO_COMPLETE;
    ++worker->n_skipped;
    return 1;
}

/* The batches first, first + n_workers, ... */
static void run_worker(const fo_segment *segment, fo_worker *worker, ptrdiff_t first)
{
    if (segment->single_sample_sgd) {
        fo_single_sample_sgd(segment, worker, first);
        return;
    }
    if (segment->pipelined) {
        run_pipelined(segment, worker);
        return;
    }
    for (ptrdiff_t number = first; number < segment->n_batches; number += segment->n_workers) {
        const fo_minibatch each = minibatch_of(segment, worker, number);
        if (is_sparse(segment->objective))
            fo_collect_columns(&each);
        if (!(fo_run_minibatch(&each) || is_skipped(segment, worker)) || fo_interrupted(segment->poll))
            return;
    }
}

typedef struct {
    const fo_segment *segment;
    fo_worker *workers;
} segment_task;

static void run_workers(const void *context, ptrdiff_t first, ptrdiff_t last)
{
    const segment_task *it = context;
    for (ptrdiff_t k = first; k < last; ++k)
        run_worker(it->segment, &it->workers[k], k);
}

void fo_start_worker(const fo_segment *segment, fo_worker *worker)
{
    worker->optimizer = *segment->optimizer;
    worker->optimizer.partial = worker->partial;
    worker->array = fo_in_records(&segment->records, &segment->optimizer->work.arrays[0]);
    worker->array.last_step = segment->last_step;
    worker->array.history = segment->history;
    if (segment->history)
        worker->array.row_width = segment->objective->n_outputs;
    worker->array.grad_strides.ndim = 0;
    worker->array.group = 0;
    worker->group = segment->optimizer->groups[segment->optimizer->work.arrays[0].group];
    worker->optimizer.groups = &worker->group;
    worker->optimizer.n_groups = 1;
    worker->optimizer.work.arrays = &worker->array;
    worker->optimizer.work.first_block = worker->first_block;
    worker->loss = worker->squared_norm = 0.0;
    worker->n_done = worker->n_skipped = 0;
    worker->end = FO_COMPLETE;
}

void fo_run_segment(const fo_segment *segment, fo_worker *workers)
{
    const segment_task it = {segment, workers};
    const int num_threads = segment->pipelined ? 2 : segment->n_workers > 1 ? segment->n_workers : segment->num_threads;
    if (segment->loads_records)
        fo_load_records(&segment->records, segment->optimizer->work.arrays, num_threads);
    fo_start_polling(segment->poll);
    for (int k = 0; k < segment->n_workers; ++k)
        fo_start_worker(segment, &workers[k]);
    workers[0].loss = segment->loss;
    fo_parallel_for(segment->n_workers, segment->n_workers, run_workers, &it);
}

/* --- the flush ---------------------------------------------------------------------------------------------------- */

/* FO_CLOSED_FORM: the rule gives all parameters but the intercepts from their state, by a step with a zero gradient. */
static void flush_closed_form(const fo_segment *segment, fo_worker *worker, int64_t t, int num_threads)
{
    const fo_minibatch it = minibatch_of(segment, worker, 0);
    fo_array weights = *segment->optimizer->work.arrays;
    weights.last_step = NULL;
    weights.history = NULL;
    weights.group = 0;
    weights.layout = FO_EXPANDED;
    weights.at.n = 0;
    weights.at.width = 1;
    weights.size = (ptrdiff_t)weights_size(segment->objective);
    fo_solve_closed_form(&it, weights, t, segment->learning_rate[0], num_threads);
}

void fo_flush(const fo_segment *segment, fo_worker *worker, int64_t t, int num_threads)
{
    const fo_penalty *penalty = segment->penalty;
    if (segment->dense_steps)
        return;
    if (segment->last_step) {
        const fo_minibatch all = minibatch_of(segment, worker, 0);
        const size_t bytes = weights_size(segment->objective) * fo_itemsize(segment->objective->dtype);
        fo_catch_up_columns(&all, worker->array, FO_FLUSH, fo_useful_threads((ptrdiff_t)bytes, num_threads));
        fo_forget_steps(segment->history);
    } else if (segment->scales)
        fo_flush_scaled_weights(segment, t, num_threads);
    else if (fo_is_lagged(penalty))
        fo_flush_lagged(penalty, t, num_threads);
    fo_store_records(&segment->records, segment->optimizer->work.arrays, num_threads);
    if (penalty->kind == FO_CLOSED_FORM && t > penalty->start)
        flush_closed_form(segment, worker, t, num_threads);
}
