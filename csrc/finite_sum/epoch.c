/* stretch.c -- the batches of a stretch: one after the other, with the next one's columns collected on a second thread,
 * or lock-free side by side; and its end. */
#include "finite_sum/samples.h"
#include "finite_sum/single_sample_sgd.h"
#include "finite_sum/minibatch.h"

static fo_passage passage_of(const fo_stretch *stretch, fo_worker *worker, ptrdiff_t number)
{
    const fo_objective *objective = stretch->objective;
    const ptrdiff_t lo = number * stretch->batch_size, hi = lo + stretch->batch_size;
    const fo_passage it = {
        stretch,
        objective,
        fo_row_kernels_of(objective->dtype),
        worker,
        part_of(stretch->samples, lo, hi < stretch->samples.n ? hi : stretch->samples.n),
        &worker->touched[stretch->look_ahead ? number % 2 : 0],
        number,
        stretch->optimizer->t + number,
        fo_itemsize(objective->dtype),
    };
    return it;
}

/* A batch, while the columns of the next are collected. */
typedef struct {
    const fo_passage *now, *next;
    int *goes_on;
} look_ahead;

static void run_and_look_ahead(const void *context, ptrdiff_t first, ptrdiff_t last)
{
    const look_ahead *it = context;
    for (ptrdiff_t k = first; k < last; ++k) {
        if (k == 0)
            *it->goes_on = fo_run_batch(it->now);
        else
            fo_collect_batch(it->next);
    }
}

/* Batches of sparse rows on two threads. The table of seen columns stays in the cache of one, parameters and state in
 * that of the other. */
static void run_ahead(const fo_stretch *stretch, fo_worker *worker)
{
    fo_passage now = passage_of(stretch, worker, 0);
    int goes_on = 1;
    fo_collect_batch(&now);
    for (ptrdiff_t number = 1; goes_on && !fo_stop_wanted(stretch->lookout); ++number) {
        const fo_passage next = passage_of(stretch, worker, number);
        const look_ahead both = {&now, &next, &goes_on};
        if (number == stretch->n_batches) {
            fo_run_batch(&now);
            return;
        }
        fo_parallel_for(2, 2, run_and_look_ahead, &both);
        now = next;
    }
}

/* A batch with a bad gradient, which ends a stretch otherwise: other lock-free workers cannot be stopped there. */
static int is_left_out(const fo_stretch *stretch, fo_worker *worker)
{
    if (stretch->n_workers == 1 || stretch->optimizer->nonfinite != FO_SKIP || worker->end != FO_BAD_GRADIENT)
        return 0;
    worker->end = FO_COMPLETE;
    ++worker->n_skipped;
    return 1;
}

/* The batches first, first + n_workers, ... */
static void run_worker(const fo_stretch *stretch, fo_worker *worker, ptrdiff_t first)
{
    if (stretch->plain) {
        fo_descend(stretch, worker, first);
        return;
    }
    if (stretch->look_ahead) {
        run_ahead(stretch, worker);
        return;
    }
    for (ptrdiff_t number = first; number < stretch->n_batches; number += stretch->n_workers) {
        const fo_passage each = passage_of(stretch, worker, number);
        if (stretch->objective->sparse)
            fo_collect_batch(&each);
        if (!(fo_run_batch(&each) || is_left_out(stretch, worker)) || fo_stop_wanted(stretch->lookout))
            return;
    }
}

typedef struct {
    const fo_stretch *stretch;
    fo_worker *workers;
} team;

static void run_workers(const void *context, ptrdiff_t first, ptrdiff_t last)
{
    const team *it = context;
    for (ptrdiff_t k = first; k < last; ++k)
        run_worker(it->stretch, &it->workers[k], k);
}

/* A worker's optimizer has an array of its own over the same parameters and state. */
static void start(const fo_stretch *stretch, fo_worker *worker)
{
    worker->optimizer = *stretch->optimizer;
    worker->optimizer.partial = worker->partial;
    worker->array = stretch->optimizer->work.arrays[0];
    worker->array.last_step = NULL;
    worker->array.grad_layout.ndim = 0;
    worker->optimizer.work.arrays = &worker->array;
    worker->optimizer.work.first_block = worker->first_block;
    worker->loss = worker->squared_norm = 0.0;
    worker->n_done = worker->n_skipped = 0;
    worker->end = FO_COMPLETE;
}

void fo_run_stretch(const fo_stretch *stretch, fo_worker *workers)
{
    const team it = {stretch, workers};
    fo_start_lookout(stretch->lookout);
    for (int k = 0; k < stretch->n_workers; ++k)
        start(stretch, &workers[k]);
    workers[0].loss = stretch->loss;
    fo_parallel_for(stretch->n_workers, stretch->n_workers, run_workers, &it);
}

/* --- the end of a stretch --------------------------------------------------------------------------------------- */

typedef struct {
    const fo_penalty *penalty;
    int64_t t;
} settlement;

static void settle_columns(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const settlement *it = context;
    fo_catch_up(it->penalty, NULL, 0, lo, hi, it->t);
    for (ptrdiff_t column = lo; column < hi; ++column)
        it->penalty->last[column] = it->t - 1;
}

void fo_settle(const fo_stretch *stretch, fo_worker *worker, int64_t t, int num_threads)
{
    const settlement it = {stretch->penalty, t};
    const fo_passage whole = passage_of(stretch, worker, 0);
    fo_array *array = &worker->array;
    const fo_array before = *array;
    if (stretch->dense || t == stretch->optimizer->t)
        return;
    if (stretch->plain) {
        fo_settle_descent(stretch, t, num_threads);
        return;
    }
    if (stretch->penalty->kind == FO_SHRINK || stretch->penalty->kind == FO_FLOW)
        fo_parallel_for(stretch->penalty->n_columns,
                        fo_useful_threads((ptrdiff_t)(weights_size(stretch->objective) * whole.itemsize), num_threads),
                        settle_columns, &it);
    if (stretch->penalty->kind == FO_SOLVE) {
        array->cover = FO_SPREAD; /* a gradient of zeros */
        array->at.n = 0;
        array->at.width = 1;
        array->size = (ptrdiff_t)weights_size(stretch->objective);
        fo_solve(&whole, t, stretch->rate[t - stretch->optimizer->t], num_threads);
        *array = before;
    }
}
