/* squared_hinge.c -- max(0, 1 - y z)^2, y = -1 or 1. */
#ifndef FO_VARIANT
#define LOSS squared_hinge
#define LOSS_FILE "losses/squared_hinge.c"
#include "finite_sum/loss.h"
#else

FO_INLINE point FN(point)(double z, double y, double parameter)
{
    const double slack = 1.0 - y * z, positive = slack <= 0 ? 0.0 : slack;
    const point at = {positive * positive, -2.0 * y * positive};
    (void)parameter;
    return at;
}

FO_INLINE double FN(invariant)(double z, double y, double time, double parameter)
{
    (void)parameter;
    return y * square_closes(1.0 - y * z, time);
}
#endif
