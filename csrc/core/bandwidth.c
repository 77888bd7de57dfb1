/* bandwidth.c -- the bandwidth gauge: the memory traffic of an update without its arithmetic.
 *
 * One stream is read and n streams are read and written in place, as integers, on the same partition that updates use.
 * What an optimizer reaches is reported as a share of this. */
#include "fastopt.h"
#include "core/variants.h"

/* Entries [lo, hi) of all streams, for one n. */
typedef void bandwidth_pass(const uint64_t *read, uint64_t *const *readwrite, ptrdiff_t lo, ptrdiff_t hi);

/* The numbers n of streams that a rule can have: its parameter, and as many slots as the ABI allows. */
#define EACH_STREAM_COUNT(X) X(1) X(2) X(3) X(4) X(5) X(6)
#define COUNT(n) +1
_Static_assert(EACH_STREAM_COUNT(COUNT) == FO_MAX_STREAMS, "EACH_STREAM_COUNT must go up to FO_MAX_STREAMS");

typedef struct {
    bandwidth_pass *pass[FO_MAX_STREAMS];   /* of n streams at n - 1 */
} bandwidth_kernels;

#define PREFIX bandwidth
#define FO_TEMPLATE "core/bandwidth_tmpl.h"
#include "core/variants.h"
FO_KERNEL_TABLE(const bandwidth_kernels);

typedef struct {
    const uint64_t *read;
    uint64_t *const *readwrite;
    ptrdiff_t size;                         /* words in each stream */
    bandwidth_pass *pass;
} bandwidth_task;

enum { PER_BLOCK = FO_BLOCK_BYTES / sizeof(uint64_t) };

static void pass_blocks(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const bandwidth_task *it = context;
    const ptrdiff_t stop = hi * PER_BLOCK < it->size ? hi * PER_BLOCK : it->size;
    it->pass(it->read, it->readwrite, lo * PER_BLOCK, stop);
}

void fo_bandwidth_pass(const void *read, void *const *readwrite, int n, ptrdiff_t bytes, int num_threads)
{
    const bandwidth_task it = {read, (uint64_t *const *)readwrite, bytes / (ptrdiff_t)sizeof(uint64_t),
                               FO_KERNELS(0)->pass[n - 1]};
    fo_parallel_for((bytes + FO_BLOCK_BYTES - 1) / FO_BLOCK_BYTES, num_threads, pass_blocks, &it);
}
