/* epsilon_insensitive.c -- max(0, |r| - epsilon), with r = z - y (Vapnik 1995). At the kinks the derivative is 0. */
#ifndef FO_VARIANT
#define LOSS epsilon_insensitive
#define LOSS_FILE "losses/epsilon_insensitive.c"
#include "finite_sum/loss.h"
#else

FO_INLINE point FN(point)(double z, double y, double epsilon)
{
    const double r = z - y, excess = (r < 0 ? 0.0 - r : r) - epsilon;
    const double slope = r > 0 ? 1.0 : r < 0 ? -1.0 : r;                     /* of a NaN, a NaN */
    const point at = {excess <= 0 ? 0.0 : excess, excess <= 0 ? 0.0 : slope};
    return at;
}

FO_INLINE double FN(invariant)(double z, double y, double time, double epsilon)
{
    const double r = z - y, excess = (r < 0 ? 0.0 - r : r) - epsilon, moved = excess > 0 ? MIN(excess, time) : 0.0;
    return r > 0 ? -moved : moved;
}
#endif
