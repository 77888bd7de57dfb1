/* numerics.h -- what kernels ask of numbers again and again, written once: finiteness, the soft threshold, an entry of
 * an index array. For any dtype, and inside a variant as well as outside: macros, and functions that are inlined. */
#ifndef FO_NUMERICS_H
#define FO_NUMERICS_H

#include <stddef.h>
#include <stdint.h>
#include "core/variants.h"

/* False for NaN and the infinities, whose difference to themselves is NaN. */
#define IS_FINITE(x) ((x) - (x) == 0)

/* 0 or -0 for a finite x, else NaN: sums of it tell whether all were finite, without a comparison for each. */
#define ZERO_IF_FINITE(x) ((x) * 0)

/* The soft threshold sign(x) max(0, |x| - t) for t >= 0, the proximal step of an l1 penalty; NaN stays NaN. Of a `real`
 * inside a variant, and of a double anywhere. */
#define FO_SOFT_THRESHOLD(x, t, abs, copysign) (abs(x) <= (t) ? 0 : (x) - copysign(t, x))
#define SOFT_THRESHOLD(x, t) FO_SOFT_THRESHOLD(x, t, ABS, COPYSIGN)
FO_INLINE double soft_threshold(double x, double t)
{
    return FO_SOFT_THRESHOLD(x, t, __builtin_fabs, __builtin_copysign);
}

/* Entry k of an array of int64 indices, or of int32 ones. */
FO_INLINE ptrdiff_t load_index(const void *indices, const int index64, ptrdiff_t k)
{
    return index64 ? (ptrdiff_t)((const int64_t *)indices)[k] : (ptrdiff_t)((const int32_t *)indices)[k];
}

#endif
