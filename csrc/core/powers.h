/* scalar.h -- powers for the scalars of a step, in double.
 * libm's pow may round differently from one processor to the next, and the package promises the same
 * bits on all; these use only + - * / and exact scaling. */
#ifndef FO_SCALAR_H
#define FO_SCALAR_H

#include <math.h>
#include <stdint.h>

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
    return 2.0 * f * sum + e * 0.69314718055994531;
}

/* base^exponent for base > 0, to about |exponent log(base)| + 2 ulp; 0 and infinity at the ends. */
static inline double power(double base, double exponent)
{
    double x = exponent * logarithm(base), sum = 1.0;
    if (!(x > -745.0))
        return x != x ? x : 0.0;
    if (x > 709.78)
        return HUGE_VAL;
    const double n = floor(x * 1.4426950408889634 + 0.5);
    x = (x - n * 0.69314718036912382) - n * 1.9082149292705877e-10;   /* log 2 in two parts */
    for (int k = 15; k >= 1; --k)
        sum = 1.0 + sum * x / k;
    return ldexp(sum, (int)n);
}

#endif
