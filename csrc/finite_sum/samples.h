/* samples.h -- where the rows of a matrix lie, and fetching them ahead of use: the order of the samples is random. */
#ifndef FO_SAMPLES_H
#define FO_SAMPLES_H

#include <assert.h>
#include "finite_sum/objective.h"
#include "core/variants.h"
#include "update/positions.h"

/* Entries of one row, and their columns if the matrix is sparse. */
typedef struct {
    const void *value, *column;
    ptrdiff_t n;
} fo_row;

enum { SPARSE_ENTRY_BYTES = 32 };        /* what an entry of a sparse row costs, in bytes of a stream */

/* Parameters without the intercepts. */
FO_INLINE size_t weights_size(const fo_objective *it) { return (size_t)(it->n_features * it->n_outputs); }

FO_INLINE ptrdiff_t entry_of(const void *list, const int wide, ptrdiff_t k)
{
    return wide ? (ptrdiff_t)((const int64_t *)list)[k] : (ptrdiff_t)((const int32_t *)list)[k];
}

FO_INLINE ptrdiff_t sample_of(fo_batch batch, ptrdiff_t i)
{
    return batch.sample ? (ptrdiff_t)batch.sample[i] : batch.first + i;
}

FO_INLINE fo_batch part_of(fo_batch batch, ptrdiff_t lo, ptrdiff_t hi)
{
    const fo_batch part = {batch.sample ? batch.sample + lo : NULL, batch.first + lo, hi - lo,
                           batch.n + batch.more - hi};
    return part;
}

FO_INLINE fo_row dense_row(const fo_objective *it, ptrdiff_t sample, size_t itemsize)
{
    assert(sample >= 0 && sample < it->n_samples);
    const fo_row at = {(const char *)it->value + (size_t)(sample * it->row_stride) * itemsize, NULL, it->n_features};
    return at;
}

FO_INLINE fo_row sparse_row(const fo_objective *it, ptrdiff_t sample, const int wide, size_t itemsize)
{
    assert(sample >= 0 && sample < it->n_samples);
    const ptrdiff_t start = entry_of(it->row_start, wide, sample), stop = entry_of(it->row_start, wide, sample + 1);
    const size_t width = wide ? sizeof(int64_t) : sizeof(int32_t);
    assert(start >= 0 && start <= stop);
    const fo_row at = {(const char *)it->value + (size_t)start * itemsize,
                       (const char *)it->column + (size_t)start * width, stop - start};
    return at;
}

FO_INLINE fo_row row_of(const fo_objective *it, ptrdiff_t sample, const int sparse, const int wide, size_t itemsize)
{
    return sparse ? sparse_row(it, sample, wide, itemsize) : dense_row(it, sample, itemsize);
}

/* How far ahead rows are fetched: a dense one is as long as many sparse ones. */
enum { DENSE_AHEAD = 2, SPARSE_AHEAD = 8, COLUMNS_AHEAD = 2, MOST_OF_ROW = 4096 };

/* The sample that comes a while after the i-th of a batch and may be in a later batch, or -1. */
FO_INLINE ptrdiff_t sample_after(fo_batch batch, ptrdiff_t i, ptrdiff_t ahead)
{
    return batch.sample && i + ahead < batch.n + batch.more ? sample_of(batch, i + ahead) : -1;
}

/* Label, weight and values of the row after the i-th. */
FO_INLINE void fetch_values_after(const fo_objective *it, fo_batch batch, ptrdiff_t i, const int sparse, const int wide,
                                  size_t itemsize)
{
    const ptrdiff_t sample = sample_after(batch, i, sparse ? SPARSE_AHEAD : DENSE_AHEAD);
    if (sample < 0)
        return;
    const fo_row at = row_of(it, sample, sparse, wide, itemsize);
    FETCH_TO_L2((const char *)it->label + (size_t)sample * itemsize);
    FETCH_TO_L2((const char *)it->weight + (size_t)sample * itemsize);
    fetch_run(at.value, at.n * (ptrdiff_t)itemsize, MOST_OF_ROW);
}

/* Columns of the row after the i-th, and the start of a still later one. */
FO_INLINE void fetch_columns_after(const fo_objective *it, fo_batch batch, ptrdiff_t i, const int wide)
{
    const size_t width = wide ? sizeof(int64_t) : sizeof(int32_t);
    const ptrdiff_t sample = sample_after(batch, i, SPARSE_AHEAD), later = sample_after(batch, i, 2 * SPARSE_AHEAD);
    if (sample < 0)
        return;
    const fo_row at = sparse_row(it, sample, wide, 0);
    if (later >= 0)
        FETCH_TO_L2((const char *)it->row_start + (size_t)later * width);
    fetch_run(at.column, at.n * (ptrdiff_t)width, MOST_OF_ROW);
}

FO_INLINE void fetch_after(const fo_objective *it, fo_batch batch, ptrdiff_t i, const int sparse, const int wide,
                           size_t itemsize)
{
    if (sparse)
        fetch_columns_after(it, batch, i, wide);
    fetch_values_after(it, batch, i, sparse, wide, itemsize);
}

/* Calls `function(..., sparse, wide)` with constants, so that each layout has its own loop. */
#define FO_BY_LAYOUT(it, function, ...) \
    ((it)->sparse ? (it)->wide ? function(__VA_ARGS__, 1, 1) : function(__VA_ARGS__, 1, 0) \
                  : function(__VA_ARGS__, 0, 0))

#endif
