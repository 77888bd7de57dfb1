/* exponential.h -- exp and log1p in double from + - * / alone: the same bits on all processors, and loops over
 * them vectorise. Accurate to 2 ulp. Include inside a variant as well as outside: everything is inlined. */
#ifndef FO_EXPONENTIAL_H
#define FO_EXPONENTIAL_H

#include <stdint.h>
#include <string.h>
#include "core/variants.h"

/* log 2 in two parts, the first of which times any n here is exact (Cody & Waite 1980). */
#define FO_ONE_OVER_LOG2 1.4426950408889634
#define FO_LOG2_HIGH 0.69314718036912382
#define FO_LOG2_LOW 1.9082149292705877e-10

/* x - n log 2. */
FO_INLINE double less_log2(double x, double n) { return (x - n * FO_LOG2_HIGH) - n * FO_LOG2_LOW; }

/* e^x: x = n log 2 + r with |r| <= log(2) / 2, Taylor's series to r^13, in pairs for short chains. Infinite from 709
 * on, 0 below -708, where the result would be subnormal. */
FO_INLINE double exponential(double x)
{
    const double shifter = 0x1.8p52;             /* what is added to it is rounded to an integer */
    const double limited = x > 709.0 ? 709.0 : x < -708.0 ? -708.0 : x;
    const double shifted = limited * FO_ONE_OVER_LOG2 + shifter;
    const double r = less_log2(limited, shifted - shifter), r2 = r * r, r4 = r2 * r2, r8 = r4 * r4;
    const double low = (1.0 + r) + r2 * (1.0 / 2 + r * (1.0 / 6));
    const double middle = (1.0 / 24 + r * (1.0 / 120)) + r2 * (1.0 / 720 + r * (1.0 / 5040));
    const double high = (1.0 / 40320 + r * (1.0 / 362880)) + r2 * (1.0 / 3628800 + r * (1.0 / 39916800));
    const double top = 1.0 / 479001600 + r * (1.0 / 6227020800.0);
    const double series = (low + r4 * middle) + r8 * (high + r4 * top);
    uint64_t bits;
    double scale;
    memcpy(&bits, &shifted, sizeof bits);        /* n stands in the low bits */
    bits = (bits + 1023) << 52;
    memcpy(&scale, &bits, sizeof scale);
    return x > 709.0 ? __builtin_inf() : x < -708.0 ? 0.0 : series * scale;
}

/* log(1 + e) for e in [0, 1]: 2 artanh(s), s = e / (2 + e) <= 1/3, by its series to s^33. */
FO_INLINE double log1p_of_unit(double e)
{
    const double s = e / (2.0 + e), q = s * s, q2 = q * q, q4 = q2 * q2, q8 = q4 * q4;
    const double a = (1.0 + q * (1.0 / 3)) + q2 * (1.0 / 5 + q * (1.0 / 7));
    const double b = (1.0 / 9 + q * (1.0 / 11)) + q2 * (1.0 / 13 + q * (1.0 / 15));
    const double c = (1.0 / 17 + q * (1.0 / 19)) + q2 * (1.0 / 21 + q * (1.0 / 23));
    const double d = (1.0 / 25 + q * (1.0 / 27)) + q2 * (1.0 / 29 + q * (1.0 / 31));
    return 2.0 * s * ((a + q4 * b) + q8 * ((c + q4 * d) + q8 * (1.0 / 33)));
}

/* (1 - exp(-u)) / u for u >= 0, the mean of exp(-t) over [0, u]; for small u by its series, which does not cancel. */
FO_INLINE double mean_decay(double u)
{
    double mean = 1.0;
    if (!(u < 0.25))
        return (1.0 - exponential(0.0 - u)) / u;
    for (int k = 11; k >= 2; --k)
        mean = 1.0 - mean * u / k;
    return mean;
}

#endif
