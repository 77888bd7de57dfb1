/* gradient_norm.c -- norm and finiteness of all gradients together, in one read. */
#include <math.h>
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

fo_gradient_stats fo_measure_gradients(const fo_optimizer *it, int want_norm, int num_threads)
{
    const fo_sum_pass pass = {&it->work, &it->step, 1, measure_chunk, &want_norm, it->partial};
    fo_sums sum = fo_sum_arrays(&pass, num_threads);
    const fo_gradient_stats stats = {fo_root(sum.sum[0]), sum.probe == 0};
    return stats;
}
