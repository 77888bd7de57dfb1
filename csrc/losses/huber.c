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
#endif
