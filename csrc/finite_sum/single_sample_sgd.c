/* single_sample_sgd.c -- the kernels of single_sample_sgd.h in every variant. */
#include "finite_sum/single_sample_sgd.h"
#include "finite_sum/samples.h"

typedef struct {
    void (*run)(const fo_segment *segment, fo_worker *worker, ptrdiff_t first);
    void (*flush)(void *param, ptrdiff_t lo, ptrdiff_t hi, double scale);
    void (*flush_l1)(const double *scaled, void *param, ptrdiff_t lo, ptrdiff_t hi, double scale, double penalty);
} single_sample_kernels;

enum { SIDE_BY_SIDE = 8 };       /* products that are summed side by side */

#define PREFIX single_sample
#define FO_TEMPLATE "finite_sum/single_sample_sgd_tmpl.h"
#include "core/variants.h"
FO_KERNEL_TABLE(const single_sample_kernels);

void fo_single_sample_sgd(const fo_segment *segment, fo_worker *worker, ptrdiff_t first)
{
    FO_KERNELS(segment->objective->dtype)->run(segment, worker, first);
}

/* What all threads share: the tables' entries after the last step. */
typedef struct {
    const fo_segment *segment;
    double scale, penalty;
} flush_task;

static void flush_entries(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const flush_task *it = context;
    const single_sample_kernels *kernels = FO_KERNELS(it->segment->objective->dtype);
    void *param = it->segment->optimizer->work.arrays[0].param;
    if (it->segment->penalty->l1 != 0)
        kernels->flush_l1(it->segment->scaled, param, lo, hi, it->scale, it->penalty);
    else
        kernels->flush(param, lo, hi, it->scale);
}

void fo_flush_scaled_weights(const fo_segment *segment, int64_t t, int num_threads)
{
    const fo_penalty *penalty = segment->penalty;
    const ptrdiff_t now = (ptrdiff_t)(t - penalty->start), n = segment->objective->n_features;
    const flush_task it = {segment, penalty->weight_scale[now],
                           penalty->l1 != 0 ? penalty->cumulative_penalty[now] : 0.0};
    const ptrdiff_t bytes = n * (ptrdiff_t)fo_itemsize(segment->objective->dtype);
    if (it.scale != 1.0 || it.penalty != 0.0)
        fo_parallel_for(n, fo_useful_threads(bytes, num_threads), flush_entries, &it);
}
