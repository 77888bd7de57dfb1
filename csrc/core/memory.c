/* memory.c -- advice to the operating system about the memory of the state. */
#if defined(__linux__)
#define _DEFAULT_SOURCE
#include <sys/mman.h>
#endif
#include "fastopt.h"

/* Fewer TLB misses on large states; only whole huge pages inside the range. A refusal costs nothing. */
void fo_advise_huge_pages(void *start, size_t bytes)
{
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    const uintptr_t page = 2 * 1024 * 1024;
    const uintptr_t lo = ((uintptr_t)start + page - 1) / page * page, hi = ((uintptr_t)start + bytes) / page * page;
    if (hi > lo)
        (void)madvise((void *)lo, hi - lo, MADV_HUGEPAGE);
#else
    (void)start;
    (void)bytes;
#endif
}
