/* huber.c -- r^2 / 2 for |r| <= delta, else delta |r| - delta^2 / 2, with r = z - y (Huber 1964). */
#ifndef FO_VARIANT
#define LOSS huber
#define LOSS_FILE "losses/huber.c"
#include "finite_sum/loss.h"
#else

FO_INLINE point FN(point)(double z, double y, double delta)
{
    const double r = z - y, clipped = r > delta ? delta : r < -delta ? -delta : r;
    const point at = {clipped * (r - 0.5 * clipped), clipped};
    return at;
}

/* Up to |r| = delta the margin goes at a speed of delta, then it is that of a square. */
FO_INLINE double FN(invariant)(double z, double y, double time, double delta)
{
    const double r = z - y, size = r < 0 ? 0.0 - r : r, beyond = size > delta ? size - delta : 0.0;
    const double until = beyond / delta;
    const double moved = time <= until ? delta * time : beyond + (size - beyond) * decayed(time - until);
    return r > 0 ? -moved : moved;
}
#endif
