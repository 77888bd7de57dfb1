/* hinge.c -- max(0, 1 - y z), y = -1 or 1. At the kink the derivative is 0. */
#ifndef FO_VARIANT
#define LOSS hinge
#define LOSS_FILE "losses/hinge.c"
#include "finite_sum/loss.h"
#else

FO_INLINE point FN(point)(double z, double y, double parameter)
{
    const double slack = 1.0 - y * z;
    const point at = {slack <= 0 ? 0.0 : slack, slack <= 0 ? 0.0 : slack != slack ? slack : -y};
    (void)parameter;
    return at;
}

FO_INLINE double FN(invariant)(double z, double y, double time, double parameter)
{
    const double slack = 1.0 - y * z;
    (void)parameter;
    return slack > 0 ? y * MIN(slack, time) : 0.0;
}
#endif
