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
#endif
