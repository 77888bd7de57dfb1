/* arrange.c -- single entries of a large parameter, put into an order in which places near each other in memory
 * follow each other: pages and their translations are then met together (docs/performance/README.md).
 *
 * Positions are distinct, so the order of their updates changes no result. Each thread arranges its own share. */
#include <string.h>
#include "fastopt.h"
#include "core/variants.h"
#include "update/positions.h"

/* Regions of the parameter that positions are sorted by: two write streams each just fill the first-level cache. */
enum { REGION_BITS = 8, REGIONS = 1 << REGION_BITS };

/* Below either, random order costs less than arranging: the translations of the pages are at hand, or the entries
 * are too few to share pages. Arranged positions are int32, half as much to write. */
enum { LEAST_PARAMETER_BYTES = 8 * 1024 * 1024, LEAST_POSITIONS = 16 * 1024 };

size_t fo_arranging_room(const fo_array *array)
{
    const size_t itemsize = fo_itemsize(array->dtype);
    const int pays = (size_t)array->size * itemsize >= LEAST_PARAMETER_BYTES && array->at.n >= LEAST_POSITIONS;
    return pays && array->size <= INT32_MAX ? (size_t)array->at.n * (itemsize + sizeof(int32_t)) : 0;
}

/* Whether positions ascend on the whole, by a sample of them. */
static int ascends(const fo_positions *at, ptrdiff_t lo, ptrdiff_t hi)
{
    enum { SAMPLES = 64 };
    const ptrdiff_t stride = (hi - lo) / SAMPLES + 1;
    for (ptrdiff_t k = lo; k + stride < hi; k += stride)
        if (position(at, k) > position(at, k + stride))
            return 0;
    return 1;
}

static int region_shift(ptrdiff_t size)
{
    int shift = 0;
    while ((size - 1) >> shift >= REGIONS)
        ++shift;
    return shift;
}

/* The first place of each region among [lo, hi). Shares begin at regions as far apart as the shares themselves:
 * threads that pass through a region at the same time would take its cache lines from each other. */
static void find_places(const fo_array *array, ptrdiff_t lo, ptrdiff_t hi, int shift, ptrdiff_t *first)
{
    const fo_positions at = array->at;
    const int begin = (int)((ptrdiff_t)((double)lo / (double)at.n * (double)array->size) >> shift);
    ptrdiff_t place = lo;
    memset(first, 0, REGIONS * sizeof *first);
    for (ptrdiff_t k = lo; k < hi; ++k)
        ++first[position(&at, k) >> shift];
    for (int turn = 0; turn < REGIONS; ++turn) {
        const int region = (begin + turn) % REGIONS;
        const ptrdiff_t count = first[region];
        first[region] = place;
        place += count;
    }
}

/* Copies each position and its gradient to the next place of its region. */
FO_INLINE void distribute(const fo_array *array, ptrdiff_t lo, ptrdiff_t hi, int shift, ptrdiff_t *FO_RESTRICT next,
                          int32_t *FO_RESTRICT index, char *FO_RESTRICT grad, const size_t itemsize)
{
    const fo_positions at = array->at;      /* registers, not memory that the stores might alias */
    const char *FO_RESTRICT source = array->grad;
    for (ptrdiff_t k = lo; k < hi; ++k) {
        const ptrdiff_t entry = position(&at, k), place = next[entry >> shift]++;
        index[place] = (int32_t)entry;
        memcpy(grad + (size_t)place * itemsize, source + (size_t)k * itemsize, itemsize);
    }
}

fo_array fo_arrange(const fo_array *array, ptrdiff_t lo, ptrdiff_t hi)
{
    const int shift = region_shift(array->size);
    const size_t itemsize = fo_itemsize(array->dtype);
    char *grad = array->at.room;
    int32_t *index = (int32_t *)(grad + (size_t)array->at.n * itemsize);
    ptrdiff_t next[REGIONS];
    if (ascends(&array->at, lo, hi))
        return *array;
    find_places(array, lo, hi, shift, next);
    if (itemsize == sizeof(float))
        distribute(array, lo, hi, shift, next, index, grad, sizeof(float));
    else
        distribute(array, lo, hi, shift, next, index, grad, sizeof(double));
    fo_array arranged = *array;
    arranged.at.index = index;
    arranged.at.wide = 0;
    arranged.grad = grad;
    return arranged;
}
