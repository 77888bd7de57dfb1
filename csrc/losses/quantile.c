/* quantile.c -- (1 - q) r for r > 0, else -q r, with r = z - y (Koenker & Bassett 1978). At the kink the derivative is
 * 0. */
#ifndef FO_VARIANT
#define LOSS quantile
#define LOSS_FILE "losses/quantile.c"
#include "finite_sum/loss.h"
#else

FO_INLINE point FN(point)(double z, double y, double q)
{
    const double r = z - y, slope = r > 0 ? 1.0 - q : r < 0 ? 0.0 - q : r;   /* of a NaN, a NaN */
    const point at = {slope * r, slope};
    return at;
}

FO_INLINE double FN(invariant)(double z, double y, double time, double q)
{
    const double r = z - y;
    return towards_zero(r, (r > 0 ? 1.0 - q : q) * time);
}
#endif
