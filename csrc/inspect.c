/* inspect.c -- what is asked of samples once, in one read of them on several threads: whether they are what the kernels
 * take for granted, and how long the longest is. */
#ifndef FO_VARIANT
#include "objective.h"
#include "samples.h"

#define RULE inspect
#define FO_TEMPLATE "inspect.c"
#include "for_each_variant.h"

/* What is wrong with the rows [lo, hi); the largest weight * (|x|^2 + has_intercept) of them. */
typedef int inspect_rows(const fo_objective *it, ptrdiff_t lo, ptrdiff_t hi);
typedef double measure_rows(const fo_objective *it, ptrdiff_t lo, ptrdiff_t hi);
#define INSPECTION(dtype, isa) FO_SYMBOL(RULE, rows, dtype, isa),
#define MEASUREMENT(dtype, isa) FO_SYMBOL(RULE, norms, dtype, isa),
static inspect_rows *const inspections[] = {FO_FOR_EACH_VARIANT(INSPECTION)};
static measure_rows *const measurements[] = {FO_FOR_EACH_VARIANT(MEASUREMENT)};

enum { PIECES = 64 }; /* runs of rows, with a result each */

typedef struct {
    const fo_objective *objective;
    int *found; /* NULL if norms are wanted */
    double *norm;
} inspection;

static void look_at_pieces(const void *context, ptrdiff_t first, ptrdiff_t last)
{
    const inspection *it = context;
    const ptrdiff_t n = it->objective->n_samples;
    const int variant = fo_variant_index(it->objective->dtype);
    for (ptrdiff_t k = first; k < last; ++k) {
        const ptrdiff_t lo = n * k / PIECES, hi = n * (k + 1) / PIECES;
        if (it->found)
            it->found[k] = inspections[variant](it->objective, lo, hi);
        else
            it->norm[k] = measurements[variant](it->objective, lo, hi);
    }
}

static void look_at_samples(const inspection *it, int num_threads)
{
    const fo_batch every = {NULL, 0, it->objective->n_samples, 0};
    const ptrdiff_t bytes = fo_batch_entries(it->objective, every) * (ptrdiff_t)fo_itemsize(it->objective->dtype);
    fo_parallel_for(PIECES, fo_useful_threads(bytes, num_threads), look_at_pieces, it);
}

int fo_inspect(const fo_objective *objective, int num_threads)
{
    int found[PIECES], all = 0;
    const inspection it = {objective, found, NULL};
    look_at_samples(&it, num_threads);
    for (int k = 0; k < PIECES; ++k)
        all |= found[k];
    return all;
}

double fo_largest_norm(const fo_objective *objective, int num_threads)
{
    double norm[PIECES], largest = 0.0;
    const inspection it = {objective, NULL, norm};
    look_at_samples(&it, num_threads);
    for (int k = 0; k < PIECES; ++k)
        largest = norm[k] > largest ? norm[k] : largest;
    return largest;
}

#else

FO_INLINE int FN(values)(const real *x, ptrdiff_t n)
{
    int is_bad = 0;
    for (ptrdiff_t j = 0; j < n; ++j)
        is_bad |= x[j] - x[j] != 0;      /* NaN for NaN and the infinities */
    return is_bad ? FO_NOT_FINITE : 0;
}

FO_INLINE int FN(is_outside)(const void *column, ptrdiff_t j, ptrdiff_t n_columns, const int wide)
{
    return entry_of(column, wide, j) < 0 || entry_of(column, wide, j) >= n_columns;
}

/* The columns of a row. Where they ascend, the first and the last tell whether all are in range. */
FO_INLINE int FN(columns)(const void *column, ptrdiff_t n, ptrdiff_t n_columns, const int wide)
{
    int descends = 0, is_bad = 0;
    for (ptrdiff_t j = 1; j < n; ++j)
        descends |= entry_of(column, wide, j) <= entry_of(column, wide, j - 1);
    if (!descends && n > 0)
        is_bad = FN(is_outside)(column, 0, n_columns, wide) || FN(is_outside)(column, n - 1, n_columns, wide);
    for (ptrdiff_t j = 0; descends && j < n; ++j)
        is_bad |= FN(is_outside)(column, j, n_columns, wide);
    return (descends ? FO_NOT_ASCENDING : 0) | (is_bad ? FO_OUT_OF_RANGE : 0);
}

FO_INLINE int FN(sparse)(const fo_objective *it, ptrdiff_t lo, ptrdiff_t hi, const int wide)
{
    const ptrdiff_t start = entry_of(it->row_start, wide, lo), stop = entry_of(it->row_start, wide, hi);
    int found = FN(values)((const real *)it->value + start, stop - start);
    for (ptrdiff_t row = lo; row < hi; ++row) {
        const fo_row at = sparse_row(it, row, wide, sizeof(real));
        found |= FN(columns)(at.column, at.n, it->n_features, wide);
    }
    return found;
}

static int FN(rows)(const fo_objective *it, ptrdiff_t lo, ptrdiff_t hi)
{
    int found = 0;
    if (it->sparse)
        return it->wide ? FN(sparse)(it, lo, hi, 1) : FN(sparse)(it, lo, hi, 0);
    if (it->row_stride == it->n_features)
        return FN(values)((const real *)it->value + lo * it->row_stride, (hi - lo) * it->n_features);
    for (ptrdiff_t row = lo; row < hi; ++row)
        found |= FN(values)(dense_row(it, row, sizeof(real)).value, it->n_features);
    return found;
}

/* In lanes, whose order is written down here: the same bits for vectors of any width. */
FO_INLINE double FN(squared)(const real *x, ptrdiff_t n)
{
    enum { LANES = 8 };
    double lanes[LANES] = {0}, sum = 0.0;
    ptrdiff_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        FO_SIMD
        for (int k = 0; k < LANES; ++k)
            lanes[k] += (double)x[j + k] * x[j + k];
    }
    for (int k = 0; k < LANES; ++k)
        sum += lanes[k];
    for (; j < n; ++j)
        sum += (double)x[j] * x[j];
    return sum;
}

static double FN(norms)(const fo_objective *it, ptrdiff_t lo, ptrdiff_t hi)
{
    double largest = 0.0;
    for (ptrdiff_t row = lo; row < hi; ++row) {
        const fo_row at = row_of(it, row, it->sparse, it->wide, sizeof(real));
        const double norm = ((const real *)it->weight)[row] * (FN(squared)(at.value, at.n) + it->intercept);
        largest = norm > largest ? norm : largest;
    }
    return largest;
}
#endif
