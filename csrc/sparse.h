/* sparse.h -- positions of a sparse gradient, and how far ahead of use its rows are fetched.
 * Positions are random, so the hardware prefetchers do not help: measured in docs/performance/README.md. */
#ifndef FO_SPARSE_H
#define FO_SPARSE_H

#include "fastopt.h"

enum { ROWS_AHEAD = 8, ELEMENTS_AHEAD = 128, ELEMENTS_STAGED = 64, CACHE_LINE = 64, MOST_FETCHED = 512 };

static inline ptrdiff_t position(const fo_positions *at, ptrdiff_t k)
{
    return at->wide ? (ptrdiff_t)((const int64_t *)at->index)[k] : (ptrdiff_t)((const int32_t *)at->index)[k];
}

/* Bring the first bytes of a row close; the hardware follows on longer rows. Into the second-level cache, which
 * can wait for more lines at a time than the first: measured twice as fast as a fetch for writing into the first. */
static inline void fetch(const void *start, ptrdiff_t nbytes)
{
#if defined(__GNUC__) || defined(__clang__)
    const char *line = (const char *)start;
    for (ptrdiff_t k = 0; k < nbytes && k < MOST_FETCHED; k += CACHE_LINE)
        __builtin_prefetch(line + k, 0, 2);
#else
    (void)start;
    (void)nbytes;
#endif
}

#endif
