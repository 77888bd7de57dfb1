/* gradient_norm_tmpl.h -- finiteness of a buffer of gradients, with the sum of their squares or without; no threads
 * here. Squares are those of clipped values. */
#include "update/products_tmpl.h"

static void FN(finiteness)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi)
{
    step->lanes->probe += FN(probe)((const real *)array->grad + lo, hi - lo);
}

/* Adds the squares of n <= LANES values; those that are clipped, if `clips`. */
FO_INLINE void FN(add_squares)(const real *g, ptrdiff_t n, real clip, double (*lanes)[LANES], const int clips)
{
    FO_SIMD
    for (int k = 0; k < n; ++k) {
        const real value = !clips ? g[k] : g[k] > clip ? clip : g[k] < -clip ? -clip : g[k];
        FN(add_product)(lanes, k, value, value);
    }
}

FO_INLINE void FN(sum_squares)(const real *g, ptrdiff_t n, real clip, fo_lanes *into, const int clips)
{
    double lanes[FN(scales)][LANES];
    ptrdiff_t i = 0;
    memcpy(lanes, into->sum[0], sizeof lanes);
    for (; i + LANES <= n; i += LANES)
        FN(add_squares)(g + i, LANES, clip, lanes, clips);
    FN(add_squares)(g + i, n - i, clip, lanes, clips);
    memcpy(into->sum[0], lanes, sizeof lanes);
}

static void FN(norm)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi)
{
    const real *g = (const real *)array->grad + lo, clip = (real)step->clip_value;
    if (step->lanes->wants_probe)
        FN(finiteness)(array, step, lo, hi);
    if (clip < (real)HUGE_VAL)
        FN(sum_squares)(g, hi - lo, clip, step->lanes, 1);
    else
        FN(sum_squares)(g, hi - lo, clip, step->lanes, 0);
}

static const norm_kernels FN(kernels) = {FN(finiteness), FN(norm)};
