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

/* No closed form is known: the step is the implicit one, with the derivative at its end (Kulis & Bartlett 2010), which
 * goes no further than the minimum either. Newton's method, in an interval that has the root, or halving it. */
enum { FN(MOST_ITERATIONS) = 500 };

FO_INLINE double FN(invariant)(double z, double y, double time, double p)
{
    const double bound = y > 0 ? logarithm(y) - z : -MIN(time * FN(point)(z, y, p).derivative, FO_LONGEST_TIME);
    double low = MIN(bound, 0.0), high = MAX(bound, 0.0), change = 0.0;
    for (int k = 0; k < FN(MOST_ITERATIONS) &&low < high; ++k) {
        const double derivative = FN(point)(z + change, y, p).derivative, excess = change + time * derivative;
        const double second = (2.0 - p) * derivative + y * exponential((1.0 - p) * (z + change));
        const double step = excess / (1.0 + time * second), newton = change - step;
        if (excess > 0)
            high = change;
        else
            low = change;
        if (step * step <= 1e-30 * change * change)
            break;
        change = newton > low && newton < high ? newton : 0.5 * (low + high);
    }
    return change;
}
#endif
