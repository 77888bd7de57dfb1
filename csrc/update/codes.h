/* codes.h -- the random bits of stochastic rounding, and the numbers that codes are made with. */
#ifndef FO_CODES_H
#define FO_CODES_H

#include <float.h>
#include <math.h>
#include <string.h>
#include "fastopt.h"
#include "core/variants.h"

/* Entries that have a hash in common, and the offset of 8-bit codes. */
enum { FO_GROUP_ENTRIES = 256 };

/* Bits of a float32 as an integer: infinity, and the bit that makes a NaN quiet; the largest number that a bfloat16 can
 * be. The upper 12 of infinity, and what stands for NaN beside them. */
#define FLOAT32_INFINITY 0x7f800000
#define FLOAT32_QUIET 0x00400000
#define BFLOAT16_LARGEST 0x7f7f0000
#define LOGARITHM_INFINITY (FLOAT32_INFINITY >> 20)
#define LOGARITHM_NAN (LOGARITHM_INFINITY + 1)
/* The codes of 8 bits that stand for no number but the first, and a bit of an offset: whether its group has the others.
 */
enum { LOG8_LARGEST = 253, LOG8_INFINITY, LOG8_NAN, LOG8_HAS_SPECIAL = 1 << 15 };

/* How a slot is stored where FO_FLOAT32, FO_BFLOAT16 or FO_LOG8 is asked for, by what it holds. */
FO_INLINE fo_storage fo_storage_for(fo_storage asked, fo_content content)
{
    if (content == FO_WHOLE)
        return FO_AS_PARAMETER;
    return asked == FO_LOG8 && content == FO_MOMENT ? FO_BFLOAT16 : asked;
}

/* What the random bits of one slot in one step are a function of, beside the entry. */
typedef struct {
    uint64_t key;
    ptrdiff_t origin;            /* where the array starts in what it is a part of */
} fo_noise;

/* The finaliser of splitmix64 (Steele, Lea & Flood 2014), and the golden ratio by which what it takes is told apart. */
#define FO_GOLDEN 0x9e3779b97f4a7c15u
FO_INLINE uint64_t fo_mixed(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

FO_INLINE fo_noise fo_noise_of(const fo_reduced *it, int slot, int64_t t)
{
    uint64_t key = fo_mixed((uint64_t)it->seed + FO_GOLDEN);
    key = fo_mixed(key + (uint64_t)t * FO_GOLDEN);
    key = fo_mixed(key + ((uint64_t)it->number * FO_MAX_SLOTS + (uint64_t)slot) * FO_GOLDEN);
    return (fo_noise){key, it->origin};
}

/* The random bits of an entry are those of a Weyl sequence, which has a hashed start in each group of entries: of equal
 * numbers in a group just as many are rounded up as makes their mean right. fo_weyl has its multiples. */
#define FO_WEYL 0x9e3779b9u
extern const uint32_t fo_weyl[FO_GROUP_ENTRIES];
FO_INLINE uint32_t fo_random_bits(const fo_noise *noise, ptrdiff_t entry)
{
    const uint64_t place = (uint64_t)(noise->origin + entry), group = place / FO_GROUP_ENTRIES;
    return (uint32_t)(fo_mixed(noise->key + group * FO_GOLDEN) >> 32) + (uint32_t)(place % FO_GROUP_ENTRIES) * FO_WEYL;
}

/* How many of n entries, from one on, are in its group. */
FO_INLINE ptrdiff_t fo_left_in_group(ptrdiff_t origin, ptrdiff_t entry, ptrdiff_t n)
{
    const ptrdiff_t left = FO_GROUP_ENTRIES - (ptrdiff_t)((uint64_t)(origin + entry) % FO_GROUP_ENTRIES);
    return n < left ? n : left;
}

#endif
