/* sums.c -- the chunks of a pass that sums, and the order in which their sums are added. */
#include <string.h>
#include "update/sums.h"

void fo_start_lanes(fo_lanes *lanes, int first, int n, int wants_probe)
{
    memset(lanes->sum[first], 0, (size_t)n * sizeof *lanes->sum);
    lanes->wants_probe = wants_probe;
    lanes->probe = 0.0;
}

fo_sums fo_total_lanes(fo_lanes *lanes, int first, int n, int dtype)
{
    fo_sums sums = {.probe = lanes->probe};
    for (int k = first; k < first + n; ++k)
        sums.sum[k] = fo_total(lanes->sum[k], fo_itemsize(dtype) == sizeof(double));
    return sums;
}

/* A pass, and the blocks of FO_BLOCK_BYTES in each of its chunks. */
typedef struct {
    const fo_sum_pass *pass;
    ptrdiff_t chunk_blocks;
} chunk_task;

static ptrdiff_t entries_of(const fo_array *array) { return array->layout == FO_ABSENT ? 0 : array->size; }

static ptrdiff_t blocks_of(const fo_array *array)
{
    const ptrdiff_t nbytes = entries_of(array) * (ptrdiff_t)fo_itemsize(array->dtype);
    return (nbytes + FO_BLOCK_BYTES - 1) / FO_BLOCK_BYTES;
}

/* Blocks in a chunk, such that all arrays together have at most FO_MAX_CHUNKS and one each. */
static ptrdiff_t chunk_blocks(const fo_sum_pass *pass)
{
    ptrdiff_t n = 0;
    for (ptrdiff_t k = 0; k < pass->work->n_arrays; ++k)
        n += blocks_of(&pass->work->arrays[k]);
    return n / FO_MAX_CHUNKS + 1;
}

static ptrdiff_t chunks_of(const chunk_task *it, ptrdiff_t array)
{
    return (blocks_of(&it->pass->work->arrays[array]) + it->chunk_blocks - 1) / it->chunk_blocks;
}

/* Chunks [lo, hi) of an array, the first of which is counted as `first` over all arrays. */
static void sum_array(const chunk_task *it, const fo_array *array, ptrdiff_t first, ptrdiff_t lo, ptrdiff_t hi)
{
    const fo_sum_pass *pass = it->pass;
    const ptrdiff_t size = it->chunk_blocks * (FO_BLOCK_BYTES / (ptrdiff_t)fo_itemsize(array->dtype));
    const ptrdiff_t n_entries = entries_of(array);
    fo_lanes lanes;
    fo_step step = pass->groups[array->group].step;
    step.lanes = &lanes;
    for (ptrdiff_t chunk = lo; chunk < hi; ++chunk) {
        const ptrdiff_t start = chunk * size, stop = start + size < n_entries ? start + size : n_entries;
        fo_start_lanes(&lanes, pass->first, pass->n_sums, pass->wants_probe);
        pass->task(array, &step, start, stop, pass->context);
        pass->partial[first + chunk] = fo_total_lanes(&lanes, pass->first, pass->n_sums, array->dtype);
    }
}

/* Chunks [lo, hi), counted over all arrays. */
static void sum_chunks(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const chunk_task *it = context;
    const fo_work *work = it->pass->work;
    ptrdiff_t first = 0;
    for (ptrdiff_t k = 0, n; k < work->n_arrays && first < hi; ++k, first += n) {
        n = chunks_of(it, k);
        if (lo < first + n)
            sum_array(it, &work->arrays[k], first, lo > first ? lo - first : 0, hi < first + n ? hi - first : n);
    }
}

fo_sums fo_sum_arrays(const fo_sum_pass *pass, int num_threads)
{
    const chunk_task it = {pass, chunk_blocks(pass)};
    const fo_sums *chunk = pass->partial;
    fo_sums total = {0};
    ptrdiff_t n = 0;
    for (ptrdiff_t k = 0; k < pass->work->n_arrays; ++k)
        n += chunks_of(&it, k);
    fo_parallel_for(n, num_threads, sum_chunks, &it);
    for (ptrdiff_t k = 0; k < pass->work->n_arrays; ++k) {
        fo_sums sums = {0};
        for (ptrdiff_t left = chunks_of(&it, k); left > 0; --left, ++chunk) {
            sums = fo_add_sums(sums, *chunk);
            total = fo_add_sums(total, *chunk);
        }
        if (pass->work->arrays[k].own)
            pass->work->arrays[k].own->sums = sums;
    }
    return total;
}
