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
#endif
