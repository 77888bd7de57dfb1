/* vw.c -- the kernels of vw.h in every variant. */
#include "finite_sum/vw.h"
#include "finite_sum/invariant.h"
#include "finite_sum/penalty_flow.h"
#include "finite_sum/samples.h"

typedef struct {
    void (*run)(fo_vw *it);
    void (*flush)(fo_vw *it);
} vw_kernels;

#define PREFIX vw
#define FO_TEMPLATE "finite_sum/vw_tmpl.h"
#include "core/variants.h"
FO_KERNEL_TABLE(const vw_kernels);

/* On one thread, by way of parallel.c, which takes subnormals as zero. */
static void run(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    fo_vw *it = *(fo_vw *const *)context;
    (void)lo;
    (void)hi;
    FO_KERNELS(it->objective->dtype)->run(it);
}

void fo_run_vw(fo_vw *it)
{
    it->n_done = 0;
    it->end = FO_COMPLETE;
    fo_start_polling(it->poll);
    fo_parallel_for(1, 1, run, &it);
}

static void flush(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    fo_vw *it = *(fo_vw *const *)context;
    (void)lo;
    (void)hi;
    FO_KERNELS(it->objective->dtype)->flush(it);
}

void fo_flush_vw(fo_vw *it)
{
    if (it->last_rate_sum)
        fo_parallel_for(1, 1, flush, &it);
}
