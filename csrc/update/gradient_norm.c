/* gradient_norm.c -- norm and finiteness of all gradients together, in one read.
 *
 * The work is cut into chunks whose bounds depend on the sizes of the arrays only, each chunk is summed in
 * LANES sums whose order is written down here, and the chunks are added in order: the same bits for any
 * number of threads and any instruction set. */
#include <math.h>
#include "fastopt.h"
#include "core/numerics.h"
#include "core/variants.h"

enum { LANES = 16 };
static const double SCALE = 0x1p-600;

/* Of n <= FO_GRADIENT_BUFFER contiguous values. */
typedef fo_gradient_stats measure_values(const void *g, ptrdiff_t n, double clip_value, int want_norm);

#define PREFIX gradient_norm
#define FO_TEMPLATE "update/gradient_norm_tmpl.h"
#include "core/variants.h"
FO_KERNEL_TABLE(measure_values);

/* What all threads of a reduction share. */
typedef struct {
    const fo_work *work;
    ptrdiff_t chunk_blocks;      /* blocks in a chunk */
    double clip_value;
    int want_norm;               /* else finiteness alone */
    fo_gradient_stats *partial;  /* one for each chunk */
} norm_task;

/* The values of a gradient: of a sparse one those that it has. */
static ptrdiff_t values_of(const fo_array *array)
{
    return array->layout == FO_DENSE ? array->size : array->at.n * array->at.width;
}

static ptrdiff_t blocks_of(const fo_array *array)
{
    return (values_of(array) * (ptrdiff_t)fo_itemsize(array->dtype) + FO_BLOCK_BYTES - 1) / FO_BLOCK_BYTES;
}

/* Blocks in a chunk, such that all arrays together have at most FO_STATS_CHUNKS and one each. */
static ptrdiff_t chunk_blocks(const fo_work *work)
{
    ptrdiff_t n = 0;
    for (ptrdiff_t k = 0; k < work->n_arrays; ++k)
        n += blocks_of(&work->arrays[k]);
    return n / FO_STATS_CHUNKS + 1;
}

static ptrdiff_t chunks_of(const fo_array *array, ptrdiff_t blocks) { return (blocks_of(array) + blocks - 1) / blocks; }

static ptrdiff_t count_chunks(const fo_work *work, ptrdiff_t blocks)
{
    ptrdiff_t n = 0;
    for (ptrdiff_t k = 0; k < work->n_arrays; ++k)
        n += chunks_of(&work->arrays[k], blocks);
    return n;
}

/* The values [lo, hi) of a gradient; those of a sparse one lie in order. */
static const void *values_from(const fo_array *array, ptrdiff_t lo, ptrdiff_t hi, void *buffer)
{
    if (array->layout == FO_DENSE)
        return fo_dense_gradient(array, lo, hi, buffer);
    return (const char *)array->grad + lo * (ptrdiff_t)fo_itemsize(array->dtype);
}

static fo_gradient_stats add(fo_gradient_stats a, fo_gradient_stats b)
{
    const fo_gradient_stats sum = {a.sum_squares + b.sum_squares, a.scaled_sum_squares + b.scaled_sum_squares,
                                   a.probe + b.probe};
    return sum;
}

/* A buffer at a time, so that what is read twice is in the cache, and strided gradients can be gathered. */
static fo_gradient_stats measure_chunk(const norm_task *it, const fo_array *array, ptrdiff_t lo, ptrdiff_t hi)
{
    double buffer[FO_GRADIENT_BUFFER];
    measure_values *const measure = FO_KERNELS(array->dtype);
    fo_gradient_stats sum = {0, 0, 0};
    for (ptrdiff_t n; lo < hi; lo += n) {
        n = hi - lo < FO_GRADIENT_BUFFER ? hi - lo : FO_GRADIENT_BUFFER;
        sum = add(sum, measure(values_from(array, lo, lo + n, buffer), n, it->clip_value, it->want_norm));
    }
    return sum;
}

/* Chunks [lo, hi), counted over all arrays. */
static void measure_chunks(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const norm_task *it = context;
    ptrdiff_t first = 0;
    for (ptrdiff_t k = 0; k < it->work->n_arrays; ++k) {
        const fo_array *array = &it->work->arrays[k];
        const ptrdiff_t n = chunks_of(array, it->chunk_blocks), n_values = values_of(array);
        const ptrdiff_t size = it->chunk_blocks * (FO_BLOCK_BYTES / (ptrdiff_t)fo_itemsize(array->dtype));
        const ptrdiff_t from = lo > first ? lo : first, to = hi < first + n ? hi : first + n;
        for (ptrdiff_t chunk = from; chunk < to; ++chunk) {
            const ptrdiff_t start = (chunk - first) * size;
            const ptrdiff_t stop = start + size < n_values ? start + size : n_values;
            it->partial[chunk] = measure_chunk(it, array, start, stop);
        }
        first += n;
    }
}

fo_gradient_stats fo_measure_gradients(const fo_work *work, double clip_value, int want_norm,
                                       fo_gradient_stats *partial, int num_threads)
{
    const norm_task it = {work, chunk_blocks(work), clip_value, want_norm, partial};
    const ptrdiff_t n = count_chunks(work, it.chunk_blocks);
    fo_gradient_stats sum = {0, 0, 0};
    fo_parallel_for(n, num_threads, measure_chunks, &it);
    for (ptrdiff_t chunk = 0; chunk < n; ++chunk)
        sum = add(sum, partial[chunk]);
    return sum;
}

/* Squares of float64 beyond 1e154 overflow; then the scaled sum, whose small terms no longer count, has it. */
double fo_gradient_norm(fo_gradient_stats stats)
{
    return isinf(stats.sum_squares) ? sqrt(stats.scaled_sum_squares) / SCALE : sqrt(stats.sum_squares);
}
