/* validate.c -- what is asked of samples once, in one read of them on several threads: whether they are what the
 * kernels take for granted, and how large the largest is. */
#include "finite_sum/objective.h"
#include "finite_sum/samples.h"

/* Of the samples [lo, hi). */
typedef struct {
    int (*faults)(const fo_objective *it, ptrdiff_t lo, ptrdiff_t hi);
    double (*largest_norm)(const fo_objective *it, ptrdiff_t lo, ptrdiff_t hi);
} validate_kernels;

#define PREFIX validate
#define FO_TEMPLATE "finite_sum/validate_tmpl.h"
#include "core/variants.h"
FO_KERNEL_TABLE(const validate_kernels);

enum { CHUNKS = 64 };            /* of consecutive samples, with a result each */

/* What all threads share. */
typedef struct {
    const fo_objective *objective;
    void *result;                /* CHUNKS of the task's type, written by it */
} validate_task;

static ptrdiff_t chunk_start(const validate_task *it, ptrdiff_t chunk)
{
    return it->objective->n_samples * chunk / CHUNKS;
}

static void find_faults(const void *context, ptrdiff_t first, ptrdiff_t last)
{
    const validate_task *it = context;
    const validate_kernels *kernels = FO_KERNELS(it->objective->dtype);
    for (ptrdiff_t k = first; k < last; ++k)
        ((int *)it->result)[k] = kernels->faults(it->objective, chunk_start(it, k), chunk_start(it, k + 1));
}

static void find_norms(const void *context, ptrdiff_t first, ptrdiff_t last)
{
    const validate_task *it = context;
    const validate_kernels *kernels = FO_KERNELS(it->objective->dtype);
    for (ptrdiff_t k = first; k < last; ++k)
        ((double *)it->result)[k] = kernels->largest_norm(it->objective, chunk_start(it, k), chunk_start(it, k + 1));
}

static void read_samples(const fo_objective *objective, int num_threads, fo_task *task, void *result)
{
    const validate_task it = {objective, result};
    const fo_batch all = {NULL, 0, objective->n_samples, 0};
    const ptrdiff_t bytes = fo_batch_entries(objective, all) * (ptrdiff_t)fo_itemsize(objective->dtype);
    fo_parallel_for(CHUNKS, fo_useful_threads(bytes, num_threads), task, &it);
}

int fo_validate_samples(const fo_objective *objective, int num_threads)
{
    int found[CHUNKS], all = 0;
    read_samples(objective, num_threads, find_faults, found);
    for (int k = 0; k < CHUNKS; ++k)
        all |= found[k];
    return all;
}

double fo_largest_norm(const fo_objective *objective, int num_threads)
{
    double norm[CHUNKS], largest = 0.0;
    read_samples(objective, num_threads, find_norms, norm);
    for (int k = 0; k < CHUNKS; ++k)
        largest = norm[k] > largest ? norm[k] : largest;
    return largest;
}
