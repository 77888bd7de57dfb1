/* modified_huber.c -- max(0, 1 - m)^2 for m >= -1, else -4 m, with m = y z, y = -1 or 1 (Zhang 2004). */
#ifndef FO_VARIANT
#define LOSS modified_huber
#define LOSS_FILE "losses/modified_huber.c"
#include "finite_sum/loss.h"
#else

FO_INLINE point FN(point)(double z, double y, double parameter)
{
    const double m = y * z, slack = 1.0 - m, positive = slack <= 0 ? 0.0 : slack;
    const int far = slack > 2;
    const point at = {far ? -4.0 * m : positive * positive, -2.0 * y * (far ? 2.0 : positive)};
    (void)parameter;
    return at;
}

/* Up to a slack of 2 the margin goes at a speed of 4, then it is that of a square. */
FO_INLINE double FN(invariant)(double z, double y, double time, double parameter)
{
    const double slack = 1.0 - y * z, beyond = slack > 2 ? slack - 2.0 : 0.0, until = beyond / 4;
    (void)parameter;
    return y * (time <= until ? 4.0 * time : beyond + square_closes(slack - beyond, time - until));
}
#endif
