/* reduced.c -- the kernels of reduced.h in every variant. */
#include "finite_sum/saga_svrg.h"
#include "finite_sum/samples.h"

#define RULE reduced
#define FO_TEMPLATE "finite_sum/saga_svrg_tmpl.h"
#include "core/variants.h"

typedef void reduced_kernel(fo_reduced *it);
#define DENSE_ENTRY(dtype, isa) FO_SYMBOL(RULE, run_dense, dtype, isa),
#define SPARSE_ENTRY(dtype, isa) FO_SYMBOL(RULE, run_sparse, dtype, isa),
static reduced_kernel *const over_dense[] = {FO_FOR_EACH_VARIANT(DENSE_ENTRY)};
static reduced_kernel *const over_sparse[] = {FO_FOR_EACH_VARIANT(SPARSE_ENTRY)};

/* On one thread, by way of parallel.c, which flushes subnormals. */
static void run(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    fo_reduced *it = *(fo_reduced *const *)context;
    const int variant = fo_variant_index(it->objective->dtype);
    (void)lo;
    (void)hi;
    if (it->objective->sparse)
        over_sparse[variant](it);
    else
        over_dense[variant](it);
}

void fo_run_reduced(fo_reduced *it)
{
    it->squared_norm = 0.0;
    it->n_done = 0;
    it->end = FO_COMPLETE;
    fo_start_lookout(it->lookout);
    fo_parallel_for(1, 1, run, &it);
}
