/* gradient_norm.c -- norm and finiteness of all gradients together, in one read. */
#include <math.h>
#include <string.h>
#include "fastopt.h"
#include "core/variants.h"
#include "update/products.h"
#include "update/sums.h"

/* Of n <= FO_GRADIENT_BUFFER contiguous values. */
typedef struct {
    fo_kernel *finiteness, *norm;
} norm_kernels;

#define PREFIX gradient_norm
#define FO_TEMPLATE "update/gradient_norm_tmpl.h"
#include "core/variants.h"
FO_KERNEL_TABLE(const norm_kernels);

/* The values [lo, hi) of a gradient, a buffer at a time, so that what is read twice is in the cache, and strided
 * gradients can be gathered. */
static void measure_chunk(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, const void *context)
{
    double buffer[FO_GRADIENT_BUFFER];
    const norm_kernels *kernels = FO_KERNELS(array->dtype);
    const int *want_norm = context;
    fo_array view = *array;
    for (ptrdiff_t n; lo < hi; lo += n) {
        n = hi - lo < FO_GRADIENT_BUFFER ? hi - lo : FO_GRADIENT_BUFFER;
        if (array->layout == FO_DENSE)
            view.grad = fo_dense_gradient(array, lo, lo + n, buffer);
        else                         /* the values of a sparse gradient lie in order */
            view.grad = (const char *)array->grad + lo * (ptrdiff_t)fo_itemsize(array->dtype);
        (*want_norm ? kernels->norm : kernels->finiteness)(&view, step, 0, n);
    }
}

static int clips_values(const fo_optimizer *it)
{
    int clips = 0;
    for (ptrdiff_t k = 0; k < it->n_groups; ++k)
        clips |= it->groups[k].step.clip_value != HUGE_VAL;
    return clips;
}

fo_gradient_stats fo_measure_gradients(const fo_optimizer *it, int want_norm, int num_threads)
{
    /* Squares that are scaled down do not overflow: without value clipping their sum tells, too. */
    const int want_finite = it->nonfinite != FO_PROPAGATE;
    const int probes = want_finite && (!want_norm || clips_values(it));
    const fo_sum_pass pass = {&it->work, it->groups, 1, 0, want_norm, probes, measure_chunk, &want_norm, it->partial};
    const fo_sums found = fo_sum_arrays(&pass, num_threads);
    const int finite = probes ? found.probe == 0 : isfinite(found.sum[0].down);
    const fo_gradient_stats stats = {fo_root(found.sum[0]), finite || !want_finite};
    return stats;
}
