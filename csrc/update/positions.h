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

#if defined(__GNUC__) || defined(__clang__)
#define FETCH_TO_WRITE(line) __builtin_prefetch(line, 1, 3)
#define FETCH_TO_L2(line) __builtin_prefetch(line, 0, 2)
#else
#define FETCH_TO_WRITE(line) ((void)(line))
#define FETCH_TO_L2(line) ((void)(line))
#endif

/* The line that a byte lies in. Runs are fetched from it on: they may begin amid a line, and end in one more. */
static inline const char *line_of(const void *byte)
{
    return (const char *)((uintptr_t)byte & ~(uintptr_t)(CACHE_LINE - 1));
}

/* The first bytes of a row, into the first-level cache; the hardware follows on longer rows. */
static inline void fetch_row(const void *start, ptrdiff_t nbytes)
{
    const char *stop = (const char *)start + (nbytes < MOST_FETCHED ? nbytes : MOST_FETCHED);
    for (const char *line = line_of(start); line < stop; line += CACHE_LINE)
        FETCH_TO_WRITE(line);
}

/* One entry, into the second-level cache, which can wait for more lines at a time than the first: twice as fast
 * out of cache as fetching to write. */
static inline void fetch_entry(const void *start) { FETCH_TO_L2((const char *)start); }

/* The first `most` bytes of a run that is only read. */
static inline void fetch_run(const void *start, ptrdiff_t nbytes, ptrdiff_t most)
{
    const char *stop = (const char *)start + (nbytes < most ? nbytes : most);
    for (const char *line = line_of(start); line < stop; line += CACHE_LINE)
        FETCH_TO_L2(line);
}

#endif
