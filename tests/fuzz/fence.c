/* fence.c -- memory for the arrays of NumPy: each ends at a page that nobody may touch, and freed memory stays
 * forbidden for a long time, so that an access outside of an array, or to one that was resized, ends the process at
 * once. What was not written yet is no plausible number or index. The bytes beside an array are compared when it is
 * freed. The calls are those of PyDataMem_Handler in NumPy's C API, which makes them one at a time. */
#define _DEFAULT_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, ALIGNMENT = 16, MOST_FORBIDDEN = 4096, MOST_FILLED = 1 << 20, UNWRITTEN = 0xCB, BESIDE = 0xA5 };

/* Right before the memory that is given out. */
typedef struct {
    char *start;              /* of the mapping */
    size_t length;            /* of the mapping, with the forbidden page */
    size_t size;              /* that was asked for */
    uint64_t mark;
} header;

static const uint64_t MARK = 0xFEEDC0DEFEEDC0DEu;

/* Freed mappings, the oldest first. */
static struct {
    char *start;
    size_t length;
} forbidden[MOST_FORBIDDEN];
static size_t n_freed = 0;

static size_t rounded(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

static void *allocate(size_t size, int fill)
{
    const size_t room = rounded(size, size % ALIGNMENT == 0 ? ALIGNMENT : 8);
    const size_t usable = rounded(room + sizeof(header), PAGE);
    char *start = mmap(NULL, usable + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        return NULL;
    if (mprotect(start + usable, PAGE, PROT_NONE) != 0) {
        munmap(start, usable + PAGE);
        return NULL;
    }
    char *memory = start + usable - room;
    const header h = {start, usable + PAGE, size, MARK};
    memcpy(memory - sizeof h, &h, sizeof h);
    memset(memory + size, BESIDE, room - size);
    if (fill)
        memset(memory, UNWRITTEN, size < MOST_FILLED ? size : MOST_FILLED);
    return memory;
}

static header checked_header(const char *memory)
{
    header h;
    memcpy(&h, memory - sizeof h, sizeof h);
    int intact = h.mark == MARK;
    const char *end = (const char *)rounded((uintptr_t)memory + h.size, PAGE);
    for (const char *at = memory + h.size; intact && at < end; ++at)
        intact = (unsigned char)*at == BESIDE;
    if (!intact) {
        fputs("fence: something wrote beside an array\n", stderr);
        abort();
    }
    return h;
}

void *fence_malloc(void *context, size_t size)
{
    (void)context;
    return allocate(size, 1);
}

void *fence_calloc(void *context, size_t n, size_t size)
{
    (void)context;
    return size && n > SIZE_MAX / 2 / size ? NULL : allocate(n * size, 0);
}

void fence_free(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    if (memory == NULL)
        return;
    const header h = checked_header(memory);
    if (mmap(h.start, h.length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != h.start)
        abort();
    const size_t k = n_freed++ % MOST_FORBIDDEN;
    if (forbidden[k].start != NULL)
        munmap(forbidden[k].start, forbidden[k].length);
    forbidden[k].start = h.start;
    forbidden[k].length = h.length;
}

void *fence_realloc(void *context, void *memory, size_t size)
{
    if (memory == NULL)
        return fence_malloc(context, size);
    header h = checked_header(memory);
    if (size <= h.size && (h.size - size) / 8 % 2 == 0) {      /* the address stays now and then */
        memset((char *)memory + size, BESIDE, h.size - size);
        const uintptr_t end = (uintptr_t)(h.start + h.length), kept = rounded((uintptr_t)memory + size, PAGE);
        h.size = size;
        memcpy((char *)memory - sizeof h, &h, sizeof h);
        return mprotect((void *)kept, end - kept, PROT_NONE) == 0 ? memory : NULL;
    }
    void *moved = allocate(size, 1);
    if (moved == NULL)
        return NULL;
    memcpy(moved, memory, h.size < size ? h.size : size);
    fence_free(context, memory, h.size);
    return moved;
}
