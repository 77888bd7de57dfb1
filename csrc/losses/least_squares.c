/* least_squares.c -- (z - y)^2 / 2. */
#ifndef FO_VARIANT
#define LOSS least_squares
#define LOSS_FILE "losses/least_squares.c"
#include "finite_sum/loss.h"
#else

FO_INLINE point FN(point)(double z, double y, double parameter)
{
    const double r = z - y;
    const point at = {0.5 * r * r, r};
    (void)parameter;
    return at;
}

FO_INLINE double FN(invariant)(double z, double y, double time, double parameter)
{
    (void)parameter;
    return (y - z) * decayed(time);
}
#endif
