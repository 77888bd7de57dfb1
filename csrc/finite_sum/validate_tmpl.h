/* validate_tmpl.h -- the loops of validate.c, once per (instruction set, dtype); no threads here. */
#include "finite_sum/margins_tmpl.h"

FO_INLINE int FN(values)(const real *x, ptrdiff_t n)
{
    int is_bad = 0;
    for (ptrdiff_t j = 0; j < n; ++j)
        is_bad |= !IS_FINITE(x[j]);
    return is_bad ? FO_NOT_FINITE : 0;
}

FO_INLINE int FN(is_outside)(fo_sample at, ptrdiff_t j, ptrdiff_t n_columns, const fo_format format)
{
    return column_of(at, j, format) < 0 || column_of(at, j, format) >= n_columns;
}

/* The columns of a sample. Where they ascend, the first and the last tell whether all are in range. */
FO_INLINE int FN(columns)(fo_sample at, ptrdiff_t n_columns, const fo_format format)
{
    int descends = 0, is_bad = 0;
    for (ptrdiff_t j = 1; j < at.n; ++j)
        descends |= column_of(at, j, format) <= column_of(at, j - 1, format);
    if (!descends && at.n > 0)
        is_bad = FN(is_outside)(at, 0, n_columns, format) || FN(is_outside)(at, at.n - 1, n_columns, format);
    for (ptrdiff_t j = 0; descends && j < at.n; ++j)
        is_bad |= FN(is_outside)(at, j, n_columns, format);
    return (descends ? FO_NOT_ASCENDING : 0) | (is_bad ? FO_OUT_OF_RANGE : 0);
}

FO_INLINE int FN(csr_faults)(const fo_objective *it, ptrdiff_t lo, ptrdiff_t hi, const fo_format format)
{
    const ptrdiff_t start = load_index(it->indptr, format == FO_CSR64, lo);
    const ptrdiff_t stop = load_index(it->indptr, format == FO_CSR64, hi);
    int found = FN(values)((const real *)it->data + start, stop - start);
    for (ptrdiff_t sample = lo; sample < hi; ++sample)
        found |= FN(columns)(csr_sample(it, sample, format, sizeof(real)), it->n_features, format);
    return found;
}

static int FN(faults)(const fo_objective *it, ptrdiff_t lo, ptrdiff_t hi)
{
    int found = 0;
    if (is_sparse(it))
        return FO_BY_CSR_FORMAT(it, FN(csr_faults), it, lo, hi);
    if (it->sample_stride == it->n_features)
        return FN(values)((const real *)it->data + lo * it->sample_stride, (hi - lo) * it->n_features);
    for (ptrdiff_t sample = lo; sample < hi; ++sample)
        found |= FN(values)(dense_sample(it, sample, sizeof(real)).data, it->n_features);
    return found;
}

static double FN(largest_norm)(const fo_objective *it, ptrdiff_t lo, ptrdiff_t hi)
{
    double largest = 0.0;
    for (ptrdiff_t sample = lo; sample < hi; ++sample) {
        const fo_sample at = sample_at(it, sample, it->format, sizeof(real));
        const double norm = ((const real *)it->weight)[sample] * (FN(sum_squares)(at.data, at.n) + it->intercept);
        largest = norm > largest ? norm : largest;
    }
    return largest;
}

static const validate_kernels FN(kernels) = {FN(faults), FN(largest_norm)};
