/* inspect.c -- what is asked of samples once, in one read of them on several threads: whether they are what the kernels
 * take for granted, and how long the longest is. */
#ifndef FO_VARIANT
#include "finite_sum/objective.h"
#include "finite_sum/samples.h"

#define RULE inspect
#define FO_TEMPLATE "finite_sum/validate.c"
#include "core/variants.h"

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
    void *result; /* PIECES of the task's type */
} look;

static ptrdiff_t start_of(const look *it, ptrdiff_t piece) { return it->objective->n_samples * piece / PIECES; }

static void inspect_pieces(const void *context, ptrdiff_t first, ptrdiff_t last)
{
    const look *it = context;
    inspect_rows *const inspect = inspections[fo_variant_index(it->objective->dtype)];
    for (ptrdiff_t k = first; k < last; ++k)
        ((int *)it->result)[k] = inspect(it->objective, start_of(it, k), start_of(it, k + 1));
}

static void measure_pieces(const void *context, ptrdiff_t first, ptrdiff_t last)
{
    const look *it = context;
    measure_rows *const measure = measurements[fo_variant_index(it->objective->dtype)];
    for (ptrdiff_t k = first; k < last; ++k)
        ((double *)it->result)[k] = measure(it->objective, start_of(it, k), start_of(it, k + 1));
}

static void look_at_samples(const fo_objective *objective, int num_threads, fo_task *task, void *result)
{
    const look it = {objective, result};
    const fo_batch every = {NULL, 0, objective->n_samples, 0};
    const ptrdiff_t bytes = fo_batch_entries(objective, every) * (ptrdiff_t)fo_itemsize(objective->dtype);
    fo_parallel_for(PIECES, fo_useful_threads(bytes, num_threads), task, &it);
}

int fo_inspect(const fo_objective *objective, int num_threads)
{
    int found[PIECES], all = 0;
    look_at_samples(objective, num_threads, inspect_pieces, found);
    for (int k = 0; k < PIECES; ++k)
        all |= found[k];
    return all;
}

double fo_largest_norm(const fo_objective *objective, int num_threads)
{
    double norm[PIECES], largest = 0.0;
    look_at_samples(objective, num_threads, measure_pieces, norm);
    for (int k = 0; k < PIECES; ++k)
        largest = norm[k] > largest ? norm[k] : largest;
    return largest;
}

#else
#include "finite_sum/margins_tmpl.h"

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

static double FN(norms)(const fo_objective *it, ptrdiff_t lo, ptrdiff_t hi)
{
    double largest = 0.0;
    for (ptrdiff_t row = lo; row < hi; ++row) {
        const fo_row at = row_of(it, row, it->sparse, it->wide, sizeof(real));
        const double norm = ((const real *)it->weight)[row] * (FN(squared_norm)(at.value, at.n) + it->intercept);
        largest = norm > largest ? norm : largest;
    }
    return largest;
}
#endif
