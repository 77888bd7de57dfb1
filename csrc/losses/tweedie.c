/* tweedie.c -- half the deviance of power p with mean exp(z), without what depends on y alone (Tweedie 1984):
 * exp((2 - p) z) / (2 - p) + y exp((1 - p) z) / (p - 1), where for p = 1 the second term is -y z, and for p = 2 the
 * first one z. */
#ifndef FO_VARIANT
#define LOSS tweedie
#define LOSS_FILE "losses/tweedie.c"
#include "finite_sum/loss.h"
#else

/* The larger of both exponentials is taken out, so that neither infinity less infinity nor infinity times 0 occurs:
 * exp((2 - p) z) where z > 0, else exp((1 - p) z), unless y = 0 leaves no second term. */
FO_INLINE point FN(point)(double z, double y, double p)
{
    const int first_is_larger = z > 0 || y == 0;
    const double common = exponential((first_is_larger ? 2.0 - p : 1.0 - p) * z);
    const double smaller = exponential(z > 0 ? 0.0 - z : z);
    const double first = first_is_larger ? 1.0 : smaller;
    const double second = y == 0 ? 0.0 : first_is_larger ? y * smaller : y;
    const double value = p == 1 ? common * first - y * z
                       : p == 2 ? z + common * second
                                : common * (first / (2.0 - p) + second / (p - 1.0));
    const point at = {value, common * (first - second)};
    return at;
}
#endif
