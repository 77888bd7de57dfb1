/* powers.h -- powers and logarithms of any positive number, for the scalars of a step, in double.
 *
 * libm's pow may round differently from one processor to the next, and the package promises the same bits on all; these
 * use only + - * / and exact scaling. Their series are summed term by term and reach into the subnormal numbers, where
 * those of exponential.h, made for loops over samples, are cut and summed in pairs. */
#ifndef FO_POWERS_H
#define FO_POWERS_H

#include <math.h>
#include <stdint.h>
#include "core/exponential.h"

/* base^n for n >= 0 by repeated squaring. */
static inline double power_int(double base, int64_t n)
{
    double result = 1.0;
    for (; n > 0; n >>= 1) {
        if (n & 1)
            result *= base;
        base *= base;
    }
    return result;
}

/* log(x) for x > 0: x = m 2^e with m in [sqrt(1/2), sqrt(2)), log m = 2 artanh((m - 1) / (m + 1)). */
static inline double logarithm(double x)
{
    int e;
    double m = frexp(x, &e), f, sum = 0.0;
    if (m < 0.70710678118654752) {
        m *= 2.0;
        --e;
    }
    f = (m - 1.0) / (m + 1.0);
    for (int k = 23; k >= 1; k -= 2)
        sum = sum * f * f + 1.0 / k;
    return 2.0 * f * sum + e * (FO_LOG2_HIGH + FO_LOG2_LOW);
}

/* base^exponent for base > 0, to about |exponent log(base)| + 2 ulp; 0 and infinity at the ends. */
static inline double power(double base, double exponent)
{
    const double x = exponent * logarithm(base);
    if (!(x > -745.0))
        return x != x ? x : 0.0;
    if (x > 709.78)
        return HUGE_VAL;
    const double n = floor(x * FO_ONE_OVER_LOG2 + 0.5), r = less_log2(x, n);
    double sum = 1.0;
    for (int k = 15; k >= 1; --k)
        sum = 1.0 + sum * r / k;
    return ldexp(sum, (int)n);
}

#endif
