/* descend.c -- the kernels of descend.h in every variant. */
#include "finite_sum/single_sample_sgd.h"
#include "finite_sum/samples.h"

typedef struct {
    void (*descend)(const fo_stretch *stretch, fo_worker *worker, ptrdiff_t first);
    void (*settle)(void *param, ptrdiff_t lo, ptrdiff_t hi, double decay, double pull);
} descent_kernels;

#define RULE descent
#define FO_TEMPLATE "finite_sum/single_sample_sgd_tmpl.h"
#include "core/variants.h"

#define ENTRY(dtype, isa) &FO_SYMBOL(RULE, kernels, dtype, isa),
static const descent_kernels *const variants[] = {FO_FOR_EACH_VARIANT(ENTRY)};

static const descent_kernels *kernels_of(const fo_stretch *it)
{
    return variants[fo_variant_index(it->objective->dtype)];
}

void fo_descend(const fo_stretch *stretch, fo_worker *worker, ptrdiff_t first)
{
    kernels_of(stretch)->descend(stretch, worker, first);
}

typedef struct {
    const fo_stretch *stretch;
    double decay, pull;
} settlement;

static void settle_entries(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const settlement *it = context;
    kernels_of(it->stretch)->settle(it->stretch->optimizer->work.arrays[0].param, lo, hi, it->decay, it->pull);
}

void fo_settle_descent(const fo_stretch *stretch, int64_t t, int num_threads)
{
    const ptrdiff_t now = (ptrdiff_t)(t - stretch->optimizer->t), n = stretch->objective->n_features;
    const settlement it = {stretch, stretch->penalty->decay[now],
                           stretch->penalty->l1 != 0 ? stretch->penalty->pull[now] : 0.0};
    const ptrdiff_t bytes = n * (ptrdiff_t)fo_itemsize(stretch->objective->dtype);
    if (it.decay != 1.0 || it.pull != 0.0)
        fo_parallel_for(n, fo_useful_threads(bytes, num_threads), settle_entries, &it);
}
