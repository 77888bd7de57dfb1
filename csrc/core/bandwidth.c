/* gauge.c -- the speed limit: the memory traffic of an update without its arithmetic.
 * One stream is read and n streams are read and written in place, as integers, on the same partition that
 * updates use. What an optimizer reaches is reported as a share of this. */
#ifndef FO_VARIANT
#include "fastopt.h"
#include "core/variants.h"

#define RULE gauge
#define FO_TEMPLATE "core/bandwidth.c"
#include "core/variants.h"

typedef void gauge_pass(const uint64_t *read, uint64_t *const *readwrite, ptrdiff_t lo, ptrdiff_t hi);
#define ENTRY(dtype, isa) {FO_SYMBOL(RULE, one, dtype, isa), FO_SYMBOL(RULE, two, dtype, isa), \
                           FO_SYMBOL(RULE, three, dtype, isa), FO_SYMBOL(RULE, four, dtype, isa)},
static gauge_pass *const gauge_passes[][4] = {FO_FOR_EACH_VARIANT(ENTRY)};

typedef struct {
    const uint64_t *read;
    uint64_t *const *readwrite;
    ptrdiff_t size;
    gauge_pass *pass;
} gauge_run;

enum { PER_BLOCK = FO_BLOCK_BYTES / sizeof(uint64_t) };

static void gauge_blocks(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const gauge_run *it = context;
    const ptrdiff_t stop = hi * PER_BLOCK < it->size ? hi * PER_BLOCK : it->size;
    it->pass(it->read, it->readwrite, lo * PER_BLOCK, stop);
}

void fo_gauge(const void *read, void *const *readwrite, int n, ptrdiff_t bytes, int num_threads)
{
    const gauge_run it = {read, (uint64_t *const *)readwrite, bytes / (ptrdiff_t)sizeof(uint64_t),
                          gauge_passes[fo_variant_index(0)][n - 1]};
    fo_parallel_for((bytes + FO_BLOCK_BYTES - 1) / FO_BLOCK_BYTES, num_threads, gauge_blocks, &it);
}

#else

FO_INLINE void FN(pass)(const uint64_t *FO_RESTRICT g, uint64_t *const *readwrite, ptrdiff_t lo, ptrdiff_t hi,
                        const int n)
{
    uint64_t *FO_RESTRICT a = readwrite[0];
    uint64_t *FO_RESTRICT b = n > 1 ? readwrite[1] : NULL;
    uint64_t *FO_RESTRICT c = n > 2 ? readwrite[2] : NULL;
    uint64_t *FO_RESTRICT d = n > 3 ? readwrite[3] : NULL;
    FO_SIMD
    for (ptrdiff_t i = lo; i < hi; ++i) {
        a[i] ^= g[i];
        if (n > 1)
            b[i] ^= g[i];
        if (n > 2)
            c[i] ^= g[i];
        if (n > 3)
            d[i] ^= g[i];
    }
}

#define PASS(name, n) \
    static void FN(name)(const uint64_t *g, uint64_t *const *readwrite, ptrdiff_t lo, ptrdiff_t hi) \
    { FN(pass)(g, readwrite, lo, hi, n); }
PASS(one, 1)
PASS(two, 2)
PASS(three, 3)
PASS(four, 4)
#undef PASS
#endif
