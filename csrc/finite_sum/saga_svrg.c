/* saga_svrg.c -- the kernels of saga_svrg.h in every variant. */
#include "finite_sum/saga_svrg.h"
#include "finite_sum/samples.h"

/* A whole segment, and the flush of CSR samples' columns: dense ones do not lag. */
typedef struct {
    void (*run_dense)(fo_saga_svrg *it);
    void (*run_csr)(fo_saga_svrg *it);
    void (*flush_csr)(fo_saga_svrg *it);
} saga_svrg_kernels;

#define PREFIX saga_svrg
#define FO_TEMPLATE "finite_sum/saga_svrg_tmpl.h"
#include "core/variants.h"
FO_KERNEL_TABLE(const saga_svrg_kernels);

/* On one thread, by way of parallel.c, which takes subnormals as zero. */
static void run(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    fo_saga_svrg *it = *(fo_saga_svrg *const *)context;
    const saga_svrg_kernels *kernels = FO_KERNELS(it->objective->dtype);
    (void)lo;
    (void)hi;
    if (is_sparse(it->objective))
        kernels->run_csr(it);
    else
        kernels->run_dense(it);
}

void fo_run_saga_svrg(fo_saga_svrg *it)
{
    it->n_done = 0;
    it->end = FO_COMPLETE;
    fo_start_polling(it->poll);
    fo_parallel_for(1, 1, run, &it);
    it->n_lagged += it->n_done;
}

static void flush(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    fo_saga_svrg *it = *(fo_saga_svrg *const *)context;
    (void)lo;
    (void)hi;
    FO_KERNELS(it->objective->dtype)->flush_csr(it);
}

void fo_flush_saga_svrg(fo_saga_svrg *it)
{
    if (it->n_lagged > 0 && is_sparse(it->objective))
        fo_parallel_for(1, 1, flush, &it);
    it->n_lagged = 0;
}
