/* prefetch.h -- memory at random places, asked for ahead of its use: the hardware's own prefetchers cannot foresee
 * it. How far ahead was measured: docs/performance/README.md. */
#ifndef FO_PREFETCH_H
#define FO_PREFETCH_H

#include <stddef.h>
#include <stdint.h>

enum { CACHE_LINE = 64, MOST_PREFETCHED = 512 };   /* bytes */

#if defined(__GNUC__) || defined(__clang__)
#define PREFETCH_TO_WRITE(line) __builtin_prefetch(line, 1, 3)
#define PREFETCH_TO_L2(line) __builtin_prefetch(line, 0, 2)
#else
#define PREFETCH_TO_WRITE(line) ((void)(line))
#define PREFETCH_TO_L2(line) ((void)(line))
#endif

/* The line that a byte lies in. Ranges are fetched from it on: they may begin amid a line, and end in one more. */
static inline const char *line_of(const void *byte)
{
    return (const char *)((uintptr_t)byte & ~(uintptr_t)(CACHE_LINE - 1));
}

/* The first bytes of a row that is about to be updated, into the first-level cache; the hardware follows on longer
 * rows. */
static inline void prefetch_row(const void *start, ptrdiff_t nbytes)
{
    const char *stop = (const char *)start + (nbytes < MOST_PREFETCHED ? nbytes : MOST_PREFETCHED);
    for (const char *line = line_of(start); line < stop; line += CACHE_LINE)
        PREFETCH_TO_WRITE(line);
}

/* One entry, into the second-level cache, which can wait for more lines at a time than the first: twice as fast
 * out of cache as fetching to write. */
static inline void prefetch_entry(const void *start) { PREFETCH_TO_L2((const char *)start); }

/* The first `most` bytes of a range that is only read. */
static inline void prefetch_range(const void *start, ptrdiff_t nbytes, ptrdiff_t most)
{
    const char *stop = (const char *)start + (nbytes < most ? nbytes : most);
    for (const char *line = line_of(start); line < stop; line += CACHE_LINE)
        PREFETCH_TO_L2(line);
}

#endif
