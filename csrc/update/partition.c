/* partition.c -- single entries of a large parameter, sorted by region, so that places near each other in memory
 * follow each other: pages and their translations are then met together (docs/performance/README.md).
 *
 * One pass of a radix sort, by the highest bits. Positions are distinct, so the order of their updates changes no
 * result. Each thread sorts its own share. */
#include <string.h>
#include "fastopt.h"
#include "core/variants.h"
#include "update/positions.h"

/* Regions of the parameter that positions are sorted by: two write streams each just fill the first-level cache. */
enum { REGION_BITS = 8, REGIONS = 1 << REGION_BITS };

/* Below either, random order costs less than sorting: the translations of the pages are at hand, or the entries
 * are too few to share pages. Sorted positions are int32, half as much to write. */
enum { LEAST_PARAMETER_BYTES = 8 * 1024 * 1024, LEAST_POSITIONS = 16 * 1024 };

size_t fo_partition_workspace(const fo_array *array)
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

/* The entries [lo, hi) of a share, on their way to where they lie in the workspace. */
typedef struct {
    const fo_array *array;
    ptrdiff_t lo, hi;
    int shift;                   /* a position's region is the position without this many bits */
    ptrdiff_t next[REGIONS];     /* of each region, the next free place among [lo, hi) */
    int32_t *index;              /* at.n sorted positions */
    char *grad;                  /* and their gradients */
} partition;

/* The first place of each region among [lo, hi). Shares begin at regions as far apart as the shares themselves:
 * threads that pass through a region at the same time would take its cache lines from each other. */
static void find_places(partition *it)
{
    const fo_positions at = it->array->at;
    const double share = (double)it->lo / (double)at.n;
    const int begin = (int)((ptrdiff_t)(share * (double)it->array->size) >> it->shift);
    ptrdiff_t place = it->lo;
    memset(it->next, 0, sizeof it->next);
    for (ptrdiff_t k = it->lo; k < it->hi; ++k)
        ++it->next[position(&at, k) >> it->shift];
    for (int turn = 0; turn < REGIONS; ++turn) {
        const int region = (begin + turn) % REGIONS;
        const ptrdiff_t count = it->next[region];
        it->next[region] = place;
        place += count;
    }
}

/* Copies each position and its gradient to the next place of its region. */
FO_INLINE void distribute(partition *it, const size_t itemsize)
{
    const fo_positions at = it->array->at;  /* registers, not memory that the stores might alias */
    const char *FO_RESTRICT source = it->array->grad;
    ptrdiff_t *FO_RESTRICT next = it->next;
    int32_t *FO_RESTRICT index = it->index;
    char *FO_RESTRICT grad = it->grad;
    const ptrdiff_t hi = it->hi;
    const int shift = it->shift;
    for (ptrdiff_t k = it->lo; k < hi; ++k) {
        const ptrdiff_t entry = position(&at, k), place = next[entry >> shift]++;
        index[place] = (int32_t)entry;
        memcpy(grad + (size_t)place * itemsize, source + (size_t)k * itemsize, itemsize);
    }
}

fo_array fo_partition(const fo_array *array, ptrdiff_t lo, ptrdiff_t hi)
{
    const size_t itemsize = fo_itemsize(array->dtype);
    char *grad = array->at.workspace;
    partition it = {.array = array, .lo = lo, .hi = hi, .shift = region_shift(array->size), .grad = grad};
    fo_array sorted = *array;
    it.index = (int32_t *)(grad + (size_t)array->at.n * itemsize);
    if (ascends(&array->at, lo, hi))
        return sorted;
    find_places(&it);
    if (itemsize == sizeof(float))
        distribute(&it, sizeof(float));
    else
        distribute(&it, sizeof(double));
    sorted.at.index = it.index;
    sorted.at.index64 = 0;
    sorted.grad = grad;
    return sorted;
}
