/* gradient_norm_tmpl.h -- finiteness of a buffer of gradients, with the sum of their squares or without; no threads
 * here. Squares are those of clipped values. */
#include "update/products_tmpl.h"

static void FN(finiteness)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi)
{
    step->sums->probe += FN(probe)((const real *)array->grad + lo, hi - lo);
}

static void FN(norm)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi)
{
    const real *g = (const real *)array->grad + lo, clip = (real)step->clip_value;
    const ptrdiff_t n = hi - lo;
    real clipped[FO_GRADIENT_BUFFER];
    FN(finiteness)(array, step, lo, hi);
    if (clip < (real)HUGE_VAL) {
        FO_SIMD
        for (ptrdiff_t i = 0; i < n; ++i)
            clipped[i] = g[i] > clip ? clip : g[i] < -clip ? -clip : g[i];
        g = clipped;
    }
    step->sums->sum[0] = fo_add(step->sums->sum[0], FN(sum_products)(g, g, n));
}

static const norm_kernels FN(kernels) = {FN(finiteness), FN(norm)};
