/* poisson.c -- exp(z) - y z: the negative log-likelihood of counts with mean exp(z), without its constant. */
#ifndef FO_VARIANT
#define LOSS poisson
#define LOSS_FILE "losses/poisson.c"
#include "finite_sum/loss.h"
#else

FO_INLINE point FN(point)(double z, double y, double parameter)
{
    const double mean = exponential(z);
    const point at = {mean - y * z, mean - y};
    (void)parameter;
    return at;
}

/* exp(-z) obeys a linear equation. Where y = 0 the margin falls for ever. */
FO_INLINE double FN(invariant)(double z, double y, double time, double parameter)
{
    const double share = time * mean_decay(y * time), left = exponential(0.0 - y * time);
    const double fallen = MIN(exponential(z) * share, 1e300);
    (void)parameter;
    return 0.0 - log_of_sum(left + fallen, fallen - y * share);
}
#endif
