/* samples.h -- where the samples of a matrix lie, and fetching them ahead of use: they come in random order. */
#ifndef FO_SAMPLES_H
#define FO_SAMPLES_H

#include <assert.h>
#include "finite_sum/objective.h"
#include "core/numerics.h"
#include "core/prefetch.h"

/* One sample: a row of the matrix. Points into the objective's data. */
typedef struct {
    const void *data;            /* n entries */
    const void *indices;         /* of CSR: their n columns */
    ptrdiff_t n;
} fo_sample;

enum { SPARSE_ENTRY_BYTES = 32 };        /* of work that a CSR entry counts as, when threads are chosen */

/* Parameters without the intercepts. */
FO_INLINE size_t weights_size(const fo_objective *it) { return (size_t)(it->n_features * it->n_outputs); }

FO_INLINE int is_sparse(const fo_objective *it) { return it->format != FO_DENSE_SAMPLES; }
FO_INLINE int has_index64(const fo_objective *it) { return it->format == FO_CSR64; }

/* The opposite of load_index. */
FO_INLINE void store_index(void *indices, const int index64, ptrdiff_t k, ptrdiff_t value)
{
    if (index64)
        ((int64_t *)indices)[k] = value;
    else
        ((int32_t *)indices)[k] = (int32_t)value;
}

/* Column of entry j of a sample. */
FO_INLINE ptrdiff_t column_of(fo_sample at, ptrdiff_t j, const fo_format format)
{
    return format == FO_DENSE_SAMPLES ? j : load_index(at.indices, format == FO_CSR64, j);
}

FO_INLINE ptrdiff_t sample_of(fo_batch batch, ptrdiff_t i)
{
    return batch.sample ? (ptrdiff_t)batch.sample[i] : batch.first + i;
}

/* The samples [lo, hi) of a batch. */
FO_INLINE fo_batch batch_slice(fo_batch batch, ptrdiff_t lo, ptrdiff_t hi)
{
    const fo_batch slice = {batch.sample ? batch.sample + lo : NULL, batch.first + lo, hi - lo,
                            batch.n + batch.more - hi};
    return slice;
}

FO_INLINE fo_sample dense_sample(const fo_objective *it, ptrdiff_t sample, size_t itemsize)
{
    assert(sample >= 0 && sample < it->n_samples);
    const fo_sample at = {(const char *)it->data + sample * it->sample_stride * (ptrdiff_t)itemsize, NULL,
                          it->n_features};
    return at;
}

FO_INLINE fo_sample csr_sample(const fo_objective *it, ptrdiff_t sample, const fo_format format, size_t itemsize)
{
    assert(sample >= 0 && sample < it->n_samples);
    const int index64 = format == FO_CSR64;
    const ptrdiff_t start = load_index(it->indptr, index64, sample), stop = load_index(it->indptr, index64, sample + 1);
    const size_t width = index64 ? sizeof(int64_t) : sizeof(int32_t);
    assert(start >= 0 && start <= stop);
    const fo_sample at = {(const char *)it->data + (size_t)start * itemsize,
                          (const char *)it->indices + (size_t)start * width, stop - start};
    return at;
}

FO_INLINE fo_sample sample_at(const fo_objective *it, ptrdiff_t sample, const fo_format format, size_t itemsize)
{
    return format == FO_DENSE_SAMPLES ? dense_sample(it, sample, itemsize) : csr_sample(it, sample, format, itemsize);
}

/* The loss kernels of an objective's dtype. */
FO_INLINE fo_loss_kernel *loss_of(const fo_objective *it)
{
    return it->loss->kernels[fo_variant_index(it->dtype)]->labels;
}
FO_INLINE fo_invariant_kernel *invariant_of(const fo_objective *it)
{
    return it->loss->kernels[fo_variant_index(it->dtype)]->invariant;
}

/* --- fetching ahead --------------------------------------------------------------------------------------------- */

/* Samples between a prefetch and its use, a dense one being as long as many sparse ones; and bytes of a sample that are
 * fetched. */
enum { DENSE_AHEAD = 2, SPARSE_AHEAD = 8, COLUMNS_AHEAD = 2, MOST_OF_SAMPLE = 4096 };

/* The sample that comes a while after the i-th of a batch and may be in a later batch, or -1. */
FO_INLINE ptrdiff_t sample_after(fo_batch batch, ptrdiff_t i, ptrdiff_t ahead)
{
    return batch.sample && i + ahead < batch.n + batch.more ? sample_of(batch, i + ahead) : -1;
}

/* Label, weight and data of a sample to come after the i-th. */
FO_INLINE void prefetch_data(const fo_objective *it, fo_batch batch, ptrdiff_t i, const fo_format format,
                             size_t itemsize)
{
    const ptrdiff_t sample = sample_after(batch, i, format == FO_DENSE_SAMPLES ? DENSE_AHEAD : SPARSE_AHEAD);
    if (sample < 0)
        return;
    const fo_sample at = sample_at(it, sample, format, itemsize);
    PREFETCH_TO_L2((const char *)it->label + (size_t)sample * itemsize);
    PREFETCH_TO_L2((const char *)it->weight + (size_t)sample * itemsize);
    prefetch_range(at.data, at.n * (ptrdiff_t)itemsize, MOST_OF_SAMPLE);
}

/* Indices of a sample to come after the i-th, and the start of a still later one. */
FO_INLINE void prefetch_indices(const fo_objective *it, fo_batch batch, ptrdiff_t i, const fo_format format)
{
    const size_t width = format == FO_CSR64 ? sizeof(int64_t) : sizeof(int32_t);
    const ptrdiff_t sample = sample_after(batch, i, SPARSE_AHEAD), later = sample_after(batch, i, 2 * SPARSE_AHEAD);
    if (sample < 0)
        return;
    const fo_sample at = csr_sample(it, sample, format, 0);
    if (later >= 0)
        PREFETCH_TO_L2((const char *)it->indptr + (size_t)later * width);
    prefetch_range(at.indices, at.n * (ptrdiff_t)width, MOST_OF_SAMPLE);
}

FO_INLINE void prefetch_sample(const fo_objective *it, fo_batch batch, ptrdiff_t i, const fo_format format,
                               size_t itemsize)
{
    if (format != FO_DENSE_SAMPLES)
        prefetch_indices(it, batch, i, format);
    prefetch_data(it, batch, i, format, itemsize);
}

/* Fetches what lies at the columns of a sample to come, which has been fetched itself by now: of each of n arrays,
 * `width` bytes a column. */
FO_INLINE void prefetch_columns(const fo_objective *it, fo_batch batch, ptrdiff_t i, const char *const *arrays,
                                const size_t *widths, const int n, const fo_format format)
{
    const ptrdiff_t sample = sample_after(batch, i, COLUMNS_AHEAD);
    if (sample < 0)
        return;
    const fo_sample at = csr_sample(it, sample, format, 0);
    for (ptrdiff_t j = 0; j < at.n; ++j)
        for (int k = 0; k < n; ++k)
            PREFETCH_TO_L2(arrays[k] + (size_t)column_of(at, j, format) * widths[k]);
}

/* The same of rows of one array, which may take several lines each. */
FO_INLINE void prefetch_rows(const fo_objective *it, fo_batch batch, ptrdiff_t i, const char *array, size_t width,
                             const fo_format format)
{
    const ptrdiff_t sample = sample_after(batch, i, COLUMNS_AHEAD);
    if (sample < 0)
        return;
    const fo_sample at = csr_sample(it, sample, format, 0);
    for (ptrdiff_t j = 0; j < at.n; ++j)
        prefetch_range(array + (size_t)column_of(at, j, format) * width, (ptrdiff_t)width, MOST_PREFETCHED);
}

/* Calls `function(..., format)` with a constant, so that each format has its own loop. */
#define FO_BY_FORMAT(it, function, ...) \
    ((it)->format == FO_DENSE_SAMPLES ? function(__VA_ARGS__, FO_DENSE_SAMPLES) \
     : (it)->format == FO_CSR64       ? function(__VA_ARGS__, FO_CSR64) \
                                      : function(__VA_ARGS__, FO_CSR32))
#define FO_BY_CSR_FORMAT(it, function, ...) \
    ((it)->format == FO_CSR64 ? function(__VA_ARGS__, FO_CSR64) : function(__VA_ARGS__, FO_CSR32))

#endif
