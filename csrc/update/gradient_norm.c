/* reduce.c -- norm and finiteness of all gradients together, in one read.
 *
 * The work is cut into chunks whose bounds depend on the sizes of the arrays only, each chunk is summed in
 * LANES sums whose order is written down here, and the chunks are added in order: the same bits for any
 * number of threads and any instruction set. */
#ifndef FO_VARIANT
#include <math.h>
#include "fastopt.h"
#include "core/variants.h"

enum { LANES = 16 };
static const double SCALE = 0x1p-600;

#define RULE scan
#define FO_TEMPLATE "update/gradient_norm.c"
#include "core/variants.h"

typedef fo_scan scan_piece(const void *g, ptrdiff_t n, double clip_value, int want_norm);
#define ENTRY(dtype, isa) FO_SYMBOL(RULE, piece, dtype, isa),
static scan_piece *const scan_pieces[] = {FO_FOR_EACH_VARIANT(ENTRY)};

typedef struct {
    const fo_work *work;
    ptrdiff_t chunk_blocks;
    double clip_value;
    int want_norm;
    fo_scan *partial;
} scan_pass;

/* The values of a gradient: of a sparse one those that it has. */
static ptrdiff_t values_of(const fo_array *array)
{
    return array->cover == FO_DENSE ? array->size : array->at.n * array->at.width;
}

static ptrdiff_t blocks_of(const fo_array *array)
{
    return (values_of(array) * (ptrdiff_t)fo_itemsize(array->dtype) + FO_BLOCK_BYTES - 1) / FO_BLOCK_BYTES;
}

/* Blocks in a chunk, such that all arrays together have at most FO_SCAN_CHUNKS and one each. */
static ptrdiff_t chunk_blocks(const fo_work *work)
{
    ptrdiff_t n = 0;
    for (ptrdiff_t k = 0; k < work->n_arrays; ++k)
        n += blocks_of(&work->arrays[k]);
    return n / FO_SCAN_CHUNKS + 1;
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
static const void *values_piece(const fo_array *array, ptrdiff_t lo, ptrdiff_t hi, void *buffer)
{
    if (array->cover == FO_DENSE)
        return fo_grad_piece(array, lo, hi, buffer);
    return (const char *)array->grad + lo * (ptrdiff_t)fo_itemsize(array->dtype);
}

static fo_scan add(fo_scan a, fo_scan b)
{
    const fo_scan sum = {a.sum_squares + b.sum_squares, a.scaled_sum_squares + b.scaled_sum_squares, a.probe + b.probe};
    return sum;
}

/* Piece by piece, so that what is read twice is in the cache, and strided gradients can be gathered. */
static fo_scan scan_chunk(const scan_pass *it, const fo_array *array, ptrdiff_t lo, ptrdiff_t hi)
{
    double buffer[FO_PIECE];
    scan_piece *const scan = scan_pieces[fo_variant_index(array->dtype)];
    fo_scan sum = {0, 0, 0};
    for (ptrdiff_t n; lo < hi; lo += n) {
        n = hi - lo < FO_PIECE ? hi - lo : FO_PIECE;
        sum = add(sum, scan(values_piece(array, lo, lo + n, buffer), n, it->clip_value, it->want_norm));
    }
    return sum;
}

/* Chunks [lo, hi), counted over all arrays. */
static void scan_chunks(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const scan_pass *it = context;
    ptrdiff_t first = 0;
    for (ptrdiff_t k = 0; k < it->work->n_arrays; ++k) {
        const fo_array *array = &it->work->arrays[k];
        const ptrdiff_t n = chunks_of(array, it->chunk_blocks), n_values = values_of(array);
        const ptrdiff_t size = it->chunk_blocks * (FO_BLOCK_BYTES / (ptrdiff_t)fo_itemsize(array->dtype));
        const ptrdiff_t from = lo > first ? lo : first, to = hi < first + n ? hi : first + n;
        for (ptrdiff_t chunk = from; chunk < to; ++chunk) {
            const ptrdiff_t start = (chunk - first) * size;
            const ptrdiff_t stop = start + size < n_values ? start + size : n_values;
            it->partial[chunk] = scan_chunk(it, array, start, stop);
        }
        first += n;
    }
}

fo_scan fo_scan_gradients(const fo_work *work, double clip_value, int want_norm, fo_scan *partial, int num_threads)
{
    const scan_pass it = {work, chunk_blocks(work), clip_value, want_norm, partial};
    const ptrdiff_t n = count_chunks(work, it.chunk_blocks);
    fo_scan sum = {0, 0, 0};
    fo_parallel_for(n, num_threads, scan_chunks, &it);
    for (ptrdiff_t chunk = 0; chunk < n; ++chunk)
        sum = add(sum, partial[chunk]);
    return sum;
}

/* Squares of float64 beyond 1e154 overflow; then the scaled sum, whose small terms no longer count, has it. */
double fo_scan_norm(fo_scan scan)
{
    return isinf(scan.sum_squares) ? sqrt(scan.scaled_sum_squares) / SCALE : sqrt(scan.sum_squares);
}

#else                       /* once per instruction set and dtype: one piece, contiguous, n <= FO_PIECE */

FO_INLINE double FN(total)(const double *lanes)
{
    double sum = 0.0;
    for (int k = 0; k < LANES; ++k)
        sum += lanes[k];
    return sum;
}

FO_INLINE void FN(square)(double *lanes, double *scaled, real g, real clip, int k)
{
    const double x = g > clip ? clip : g < -clip ? -clip : g;
    lanes[k] += x * x;
    if (sizeof(real) == sizeof(double))       /* the squares of float32 fit into a double */
        scaled[k] += (x * SCALE) * (x * SCALE);
}

static fo_scan FN(piece)(const void *grad, ptrdiff_t n, double clip_value, int want_norm)
{
    const real *g = grad, clip = (real)clip_value;
    real probe[LANES] = {0};
    double squares[LANES] = {0}, scaled[LANES] = {0}, probe_sum = 0.0;
    ptrdiff_t i;
    for (i = 0; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; ++k)
            probe[k] += g[i + k] * 0;         /* NaN for NaN and the infinities */
    for (int k = 0; i + k < n; ++k)
        probe[k] += g[i + k] * 0;
    for (int k = 0; k < LANES; ++k)
        probe_sum += probe[k];
    if (want_norm) {
        for (i = 0; i + LANES <= n; i += LANES)
            for (int k = 0; k < LANES; ++k)
                FN(square)(squares, scaled, g[i + k], clip, k);
        for (int k = 0; i + k < n; ++k)
            FN(square)(squares, scaled, g[i + k], clip, k);
    }
    const double sum_squares = FN(total)(squares);
    const double scaled_sum = sizeof(real) == sizeof(double) ? FN(total)(scaled) : sum_squares * SCALE * SCALE;
    const fo_scan sum = {sum_squares, scaled_sum, probe_sum};
    return sum;
}
#endif
