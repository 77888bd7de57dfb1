/* squared_epsilon_insensitive.c -- max(0, |r| - epsilon)^2, with r = z - y. */
#ifndef FO_VARIANT
#define LOSS squared_epsilon_insensitive
#define LOSS_FILE "losses/squared_epsilon_insensitive.c"
#include "finite_sum/loss.h"
#else

FO_INLINE point FN(point)(double z, double y, double epsilon)
{
    const double r = z - y, excess = (r < 0 ? 0.0 - r : r) - epsilon, positive = excess <= 0 ? 0.0 : excess;
    const point at = {positive * positive, 2.0 * (r < 0 ? 0.0 - positive : positive)};
    return at;
}

FO_INLINE double FN(invariant)(double z, double y, double time, double epsilon)
{
    const double r = z - y, moved = square_closes((r < 0 ? 0.0 - r : r) - epsilon, time);
    return r > 0 ? -moved : moved;
}
#endif
