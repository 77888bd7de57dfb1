/* scaled_sgd.c -- the kernels of scaled_sgd.h in every variant. */
#include "finite_sum/scaled_sgd.h"
#include "finite_sum/samples.h"

/* Where scaled weights are, in doubles with l1 and else in the dtype, and the numbers of a step. */
typedef struct {
    void *v;
    double scale, one_over_next; /* the scale before, and after */
    double penalty;              /* cumulative, before */
    double rate;
} scaling;

typedef struct {
    void (*gather)(const fo_minibatch *it, scaling c);
    void (*step)(const fo_minibatch *it, scaling c, ptrdiff_t lo, ptrdiff_t hi);     /* columns of a batch */
    void (*step_intercepts)(const fo_minibatch *it, scaling c);
    void (*flush)(void *param, ptrdiff_t lo, ptrdiff_t hi, double scale);
    void (*flush_l1)(const double *scaled, void *param, ptrdiff_t lo, ptrdiff_t hi, double scale, double penalty);
} scaled_kernels;

enum { BLOCK_ENTRIES = 128 };    /* weights that are worked on side by side */

#define PREFIX scaled
#define FO_TEMPLATE "finite_sum/scaled_sgd_tmpl.h"
#include "core/variants.h"
FO_KERNEL_TABLE(const scaled_kernels);

static scaling scaling_of(const fo_minibatch *it)
{
    const fo_penalty *penalty = it->segment->penalty;
    const ptrdiff_t now = (ptrdiff_t)(it->t - penalty->start);
    const scaling c = {
        .v = it->segment->scaled,
        .scale = penalty->weight_scale[now],
        .one_over_next = 1.0 / penalty->weight_scale[now + 1],
        .penalty = penalty->l1 != 0 ? penalty->cumulative_penalty[now] : 0.0,
        .rate = it->segment->learning_rate[it->number + 1],
    };
    return c;
}

void fo_gather_scaled(const fo_minibatch *it) { FO_KERNELS(it->objective->dtype)->gather(it, scaling_of(it)); }

static void step_columns(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const fo_minibatch *it = context;
    FO_KERNELS(it->objective->dtype)->step(it, scaling_of(it), lo, hi);
}

void fo_step_scaled(const fo_minibatch *it)
{
    const int num_threads = it->segment->num_threads;
    const ptrdiff_t n = it->touched->n, bytes = (ptrdiff_t)fo_rows_size(it, n);
    fo_parallel_for(n, num_threads == 1 ? 1 : fo_useful_threads(bytes, num_threads), step_columns, it);
    if (it->objective->intercept)
        FO_KERNELS(it->objective->dtype)->step_intercepts(it, scaling_of(it));
}

/* What all threads share: the tables' entries after the last step. */
typedef struct {
    const fo_segment *segment;
    double scale, penalty;
} flush_task;

static void flush_entries(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const flush_task *it = context;
    const scaled_kernels *kernels = FO_KERNELS(it->segment->objective->dtype);
    void *param = it->segment->optimizer->work.arrays[0].param;
    if (it->segment->penalty->l1 != 0)
        kernels->flush_l1(it->segment->scaled, param, lo, hi, it->scale, it->penalty);
    else
        kernels->flush(param, lo, hi, it->scale);
}

void fo_flush_scaled_weights(const fo_segment *segment, int64_t t, int num_threads)
{
    const fo_penalty *penalty = segment->penalty;
    const ptrdiff_t now = (ptrdiff_t)(t - penalty->start), n = (ptrdiff_t)weights_size(segment->objective);
    const flush_task it = {segment, penalty->weight_scale[now],
                           penalty->l1 != 0 ? penalty->cumulative_penalty[now] : 0.0};
    const ptrdiff_t bytes = n * (ptrdiff_t)fo_itemsize(segment->objective->dtype);
    if (it.scale != 1.0 || it.penalty != 0.0)
        fo_parallel_for(n, fo_useful_threads(bytes, num_threads), flush_entries, &it);
}
