/* exact_sums.c -- sums that are not rounded before their end: a number is an integer of many digits, to which the 53
 * bits of a double are added where they belong (Kulisch 1971, with carries put off). */
#include <math.h>
#include <string.h>
#include "core/atomics.h"
#include "update/exact_sums.h"

/* Bits of a digit, and how many stand below the binary point. Numbers are from 2^-2274, which is the smallest double
 * times 2^-1200, to 2^2224; a sum of 2^31 of them leaves a digit inside its 64 bits. */
enum { DIGIT_BITS = 32, BITS_BELOW = 2304 };
#define DIGIT_MASK 0xffffffffu

void fo_add_exactly(fo_exact *sum, fo_scaled number)
{
    enum { FRACTION_BITS = 52, EXPONENT_BIAS = 1023 };
    uint64_t bits;
    int overflow = FO_NUMBER;
    if (isnan(number.value) || isinf(number.value))
        overflow = isnan(number.value) ? FO_NAN : FO_INFINITE;
    if (overflow > sum->overflow)
        sum->overflow = overflow;
    if (overflow != FO_NUMBER)
        return;
    memcpy(&bits, &number.value, sizeof bits);   /* not frexp: threads may take subnormal numbers for zero */
    const int biased = (int)(bits >> FRACTION_BITS), normal = biased > 0;
    const uint64_t mantissa = (bits & ((UINT64_C(1) << FRACTION_BITS) - 1)) | (uint64_t)normal << FRACTION_BITS;
    const int place = biased + !normal - EXPONENT_BIAS - FRACTION_BITS + number.exponent + BITS_BELOW;
    const int first = place / DIGIT_BITS, shift = place % DIGIT_BITS;
    const uint64_t low = (mantissa & DIGIT_MASK) << shift, high = (mantissa >> DIGIT_BITS) << shift;
    sum->digit[first] += (int64_t)(low & DIGIT_MASK);
    sum->digit[first + 1] += (int64_t)((low >> DIGIT_BITS) + (high & DIGIT_MASK));
    sum->digit[first + 2] += (int64_t)(high >> DIGIT_BITS);
}

void fo_add_shared(fo_exact *sum, const fo_exact *part)
{
    for (int k = 0; k < FO_EXACT_DIGITS; ++k)
        if (part->digit[k] != 0)
            fo_add_wide(&sum->digit[k], part->digit[k]);
    for (int found = fo_load(&sum->overflow); part->overflow > found; found = fo_load(&sum->overflow))
        fo_replace(&sum->overflow, found, part->overflow);
}

void fo_carry(fo_exact *sum)
{
    for (int k = 0; k + 1 < FO_EXACT_DIGITS; ++k) {
        sum->digit[k + 1] += sum->digit[k] >> DIGIT_BITS;
        sum->digit[k] &= DIGIT_MASK;
    }
}

/* 64 bits of a sum without carries, from one on. */
static uint64_t window(const fo_exact *it, int place)
{
    const int k = place / DIGIT_BITS, shift = place % DIGIT_BITS;
    uint64_t bits = (uint64_t)it->digit[k] >> shift | (uint64_t)it->digit[k + 1] << (DIGIT_BITS - shift);
    if (shift > 0)
        bits |= (uint64_t)it->digit[k + 2] << (2 * DIGIT_BITS - shift);
    return bits;
}

static int any_below(const fo_exact *it, int place)
{
    int any = (it->digit[place / DIGIT_BITS] & (((int64_t)1 << place % DIGIT_BITS) - 1)) != 0;
    for (int k = 0; k < place / DIGIT_BITS; ++k)
        any |= it->digit[k] != 0;
    return any;
}

/* The sum, rounded to a double, and once: the leading bits are more than it has, and the last of them also stands for
 * all below. The exponent is even. */
static fo_scaled rounded(const fo_exact *sum)
{
    fo_exact it = *sum;
    int top = FO_EXACT_DIGITS - 1, place;
    fo_carry(&it);
    while (top > 2 && it.digit[top] == 0)
        --top;
    place = (top - 1) * DIGIT_BITS;
    while (place > 0 && window(&it, place) >> (2 * DIGIT_BITS - 2) == 0)
        place -= 2;
    return (fo_scaled){(double)(window(&it, place) | (uint64_t)any_below(&it, place)), place - BITS_BELOW};
}

double fo_exact_root(const fo_exact *sum)
{
    if (sum->overflow != FO_NUMBER)
        return sum->overflow == FO_NAN ? NAN : HUGE_VAL;
    const fo_scaled it = rounded(sum);
    return ldexp(sqrt(it.value), it.exponent / 2);
}

double fo_exact_value(const fo_exact *sum)
{
    if (sum->overflow != FO_NUMBER)
        return sum->overflow == FO_NAN ? NAN : HUGE_VAL;
    const fo_scaled it = rounded(sum);
    return ldexp(it.value, it.exponent);
}
