/* logistic.c -- log(1 + exp(-y z)), y = -1 or 1. Value and derivative share e = exp(-|z|), which cannot overflow. */
#ifndef FO_VARIANT
#define LOSS logistic
#define LOSS_FILE "losses/logistic.c"
#include "finite_sum/loss.h"
#else

FO_INLINE point FN(point)(double z, double y, double parameter)
{
    /* 0 - m is -m that keeps the sign of a NaN, so that two of them that are added have the same one. */
    const double m = y * z, minus = 0.0 - m, e = exponential(m > 0 ? minus : m);
    const double wrong = (m > 0 ? e : 1.0) / (1.0 + e);      /* the probability of -y */
    const point at = {(m > 0 ? 0.0 : minus) + log1p_of_unit(e), (0.0 - y) * wrong};
    (void)parameter;
    return at;
}

/* From so near, three or four are enough. */
enum { FN(MOST_ITERATIONS) = 50 };

/* The change of m = y z solves a change + b (exp(change) - 1) = a time, with b / a = exp(m) and the larger of both 1:
 * one of the two bounds below is near, and Newton's method from above, on a convex function, comes down to the root. In
 * Karampatziakis & Langford it is written with Lambert's W, whose argument overflows. */
FO_INLINE double FN(invariant)(double z, double y, double time, double parameter)
{
    const double m = y * z, log_b = m > 0 ? 0.0 : m, a = m > 0 ? exponential(0.0 - m) : 1.0, b = exponential(log_b);
    const double goal = a * time, bound = logarithm(goal + b) - log_b;
    double change = MIN(goal / (a + b), bound);
    (void)parameter;
    for (int k = 0; k < FN(MOST_ITERATIONS); ++k) {
        const double grown = exponential(change + log_b), excess = a * change + grown * decayed(change) - goal;
        const double step = excess / (a + grown);
        change -= step;
        if (!(step * step > 1e-17 * change * change))     /* the next one would be as its square */
            break;
    }
    return y * MAX(change, 0.0);
}
#endif
