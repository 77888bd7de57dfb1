/* gamma.c -- z + y exp(-z): the negative log-likelihood of gamma-distributed numbers with mean exp(z), for shape 1 and
 * without its constant. */
#ifndef FO_VARIANT
#define LOSS gamma
#define LOSS_FILE "losses/gamma.c"
#include "finite_sum/loss.h"
#else

FO_INLINE point FN(point)(double z, double y, double parameter)
{
    const double ratio = y * exponential(0.0 - z);           /* of y to its mean */
    const point at = {z + ratio, 1.0 - ratio};
    (void)parameter;
    return at;
}

/* exp(z) obeys a linear equation. */
FO_INLINE double FN(invariant)(double z, double y, double time, double parameter)
{
    const double ratio = y * exponential(0.0 - z), share = decayed(time);
    (void)parameter;
    return log_of_sum(exponential(0.0 - time) + ratio * share, (ratio - 1.0) * share);
}
#endif
