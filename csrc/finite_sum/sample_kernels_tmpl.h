/* row_kernels.h -- what is done with a batch of rows, written once for all losses; no threads here.
 *
 * Included once per (instruction set, dtype) by rows.c. */
#include "finite_sum/margins_tmpl.h"

FO_INLINE void FN(margins_of)(const fo_objective *it, fo_batch batch, const real *w, real *z, const int sparse,
                              const int wide)
{
    const real *intercept = it->intercept ? w + it->n_features * it->n_outputs : NULL;
    for (ptrdiff_t i = 0; i < batch.n; ++i) {
        fetch_after(it, batch, i, sparse, wide, sizeof(real));
        FN(margin)(row_of(it, sample_of(batch, i), sparse, wide, sizeof(real)), w, intercept, it->n_outputs,
                   z + i * it->n_outputs, sparse, wide);
    }
}

static void FN(margins)(const fo_objective *it, fo_batch batch, const void *w, void *z)
{
    FO_BY_LAYOUT(it, FN(margins_of), it, batch, w, z);
}

FO_INLINE const real *FN(values)(const fo_objective *it, fo_batch batch, ptrdiff_t i)
{
    return dense_row(it, sample_of(batch, i), sizeof(real)).value;
}

/* g += sum of d_i x_i over the columns [lo, hi) of dense rows, four rows at a time. */
FO_INLINE void FN(add_one_output)(const fo_objective *it, fo_batch batch, const real *d, ptrdiff_t lo, ptrdiff_t hi,
                                  real *FO_RESTRICT g)
{
    ptrdiff_t i = 0;
    for (; i + 4 <= batch.n; i += 4) {
        const real *x0 = FN(values)(it, batch, i), *x1 = FN(values)(it, batch, i + 1);
        const real *x2 = FN(values)(it, batch, i + 2), *x3 = FN(values)(it, batch, i + 3);
        const real d0 = d[i], d1 = d[i + 1], d2 = d[i + 2], d3 = d[i + 3];
        FO_SIMD
        for (ptrdiff_t j = lo; j < hi; ++j)
            g[j] += (d0 * x0[j] + d1 * x1[j]) + (d2 * x2[j] + d3 * x3[j]);
    }
    for (; i < batch.n; ++i) {
        const real *x = FN(values)(it, batch, i), own = d[i];
        FO_SIMD
        for (ptrdiff_t j = lo; j < hi; ++j)
            g[j] += own * x[j];
    }
}

static void FN(add_dense)(const fo_objective *it, fo_batch batch, const void *derivative, ptrdiff_t lo, ptrdiff_t hi,
                          void *gradient)
{
    const real *d = derivative;
    real *g = gradient;
    const ptrdiff_t n_outputs = it->n_outputs;
    if (n_outputs == 1) {
        FN(add_one_output)(it, batch, d, lo, hi, g);
        return;
    }
    for (ptrdiff_t i = 0; i < batch.n; ++i) {
        const real *x = FN(values)(it, batch, i);
        for (ptrdiff_t j = lo; j < hi; ++j)
            FN(add_product)(x[j], d + i * n_outputs, n_outputs, g + j * n_outputs);
    }
}

/* The same of CSR rows, over all columns, in double: a column may meet any number of samples. */
FO_INLINE void FN(add_rows)(const fo_objective *it, fo_batch batch, const real *d, double *FO_RESTRICT g,
                            const ptrdiff_t n_outputs, const int wide)
{
    for (ptrdiff_t i = 0; i < batch.n; ++i) {
        const fo_row at = sparse_row(it, sample_of(batch, i), wide, sizeof(real));
        const real *x = at.value, *own = d + i * n_outputs;
        for (ptrdiff_t j = 0; j < at.n; ++j) {
            double *place = g + entry_of(at.column, wide, j) * n_outputs;
            for (ptrdiff_t k = 0; k < n_outputs; ++k)
                place[k] += (double)x[j] * own[k];
        }
    }
}

static void FN(add_sparse)(const fo_objective *it, fo_batch batch, const void *derivative, double *gradient)
{
    if (it->n_outputs > 1)
        it->wide ? FN(add_rows)(it, batch, derivative, gradient, it->n_outputs, 1)
                 : FN(add_rows)(it, batch, derivative, gradient, it->n_outputs, 0);
    else
        it->wide ? FN(add_rows)(it, batch, derivative, gradient, 1, 1)
                 : FN(add_rows)(it, batch, derivative, gradient, 1, 0);
}

/* The derivatives of each output summed: the gradient of the intercepts. */
static void FN(add_intercepts)(const fo_objective *it, ptrdiff_t n, const void *derivative, double *gradient)
{
    const real *d = derivative;
    for (ptrdiff_t i = 0; i < n; ++i)
        for (ptrdiff_t k = 0; k < it->n_outputs; ++k)
            gradient[k] += d[i * it->n_outputs + k];
}

static void FN(add_widened)(const void *from, ptrdiff_t n, double *FO_RESTRICT to)
{
    const real *source = from;
    FO_SIMD
    for (ptrdiff_t j = 0; j < n; ++j)
        to[j] += source[j];
}

/* Labels of a batch, and its weights times `scale`, in order. */
static void FN(labels)(const fo_objective *it, fo_batch batch, double scale, void *labels, void *weights)
{
    for (ptrdiff_t i = 0; i < batch.n; ++i) {
        ((real *)labels)[i] = ((const real *)it->label)[sample_of(batch, i)];
        ((real *)weights)[i] = (real)(((const real *)it->weight)[sample_of(batch, i)] * scale);
    }
}

/* The distinct columns of a batch in the order of their first entries, and for each entry its column's place. */
FO_INLINE void FN(collect_columns)(const fo_objective *it, fo_batch batch, fo_seen *before, fo_touched *to,
                                   const int wide)
{
    int32_t *FO_RESTRICT seen = before->column, *FO_RESTRICT place = to->place;
    int32_t n = 0;
    const int32_t base = before->base;
    ptrdiff_t entry = 0;
    for (ptrdiff_t i = 0; i < batch.n; ++i) {
        fetch_columns_after(it, batch, i, wide);
        const fo_row at = sparse_row(it, sample_of(batch, i), wide, sizeof(real));
        for (ptrdiff_t j = 0; j < at.n; ++j) {
            const ptrdiff_t column = entry_of(at.column, wide, j);
            const int32_t known = seen[column] - base, is_new = -(known < 0);
            const int32_t own = (n & is_new) | (known & ~is_new);    /* no branch: it could not be foreseen */
            seen[column] = base + own;
            place[entry++] = own;
            if (wide)
                ((int64_t *)to->column)[n] = column;
            else
                ((int32_t *)to->column)[n] = (int32_t)column;
            n -= is_new;
        }
    }
    to->n = n;
    to->n_entries = entry;
}

static void FN(collect)(const fo_objective *it, fo_batch batch, fo_seen *seen, fo_touched *to)
{
    if (it->wide)
        FN(collect_columns)(it, batch, seen, to, 1);
    else
        FN(collect_columns)(it, batch, seen, to, 0);
}

/* Parameters of the touched columns, side by side. */
FO_INLINE void FN(gather_rows)(const fo_touched *touched, const real *w, const ptrdiff_t n_outputs, real *to,
                               const int wide)
{
    for (ptrdiff_t j = 0; j < touched->n; ++j)
        for (ptrdiff_t k = 0; k < n_outputs; ++k)
            to[j * n_outputs + k] = w[entry_of(touched->column, wide, j) * n_outputs + k];
}

static void FN(gather)(const fo_objective *it, const fo_touched *touched, const void *w, void *to)
{
    if (it->n_outputs == 1)
        it->wide ? FN(gather_rows)(touched, w, 1, to, 1) : FN(gather_rows)(touched, w, 1, to, 0);
    else
        FN(gather_rows)(touched, w, it->n_outputs, to, it->wide);
}

/* Margins of the samples [lo, hi) of a collected batch, from gathered parameters. The entries of sample lo stand from
 * `entry` on. */
static void FN(margins_of_touched)(const fo_objective *it, fo_batch batch, const fo_touched *touched, ptrdiff_t lo,
                                   ptrdiff_t hi, ptrdiff_t entry, const void *gathered, const void *intercept, void *z)
{
    for (ptrdiff_t i = lo; i < hi; ++i) {
        fetch_values_after(it, batch, i, 1, it->wide, sizeof(real));
        fo_row at = sparse_row(it, sample_of(batch, i), it->wide, sizeof(real));
        at.column = touched->place + entry;
        entry += at.n;
        FN(margin)(at, gathered, intercept, it->n_outputs, (real *)z + i * it->n_outputs, 1, 0);
    }
}

/* gradient += sum of d_i x_i over a collected batch, a row for each touched column. */
FO_INLINE void FN(add_touched_rows)(const fo_objective *it, fo_batch batch, const fo_touched *touched, const real *d,
                                    const ptrdiff_t n_outputs, real *FO_RESTRICT g)
{
    const int32_t *place = touched->place;
    for (ptrdiff_t i = 0; i < batch.n; ++i) {
        const fo_row at = sparse_row(it, sample_of(batch, i), it->wide, sizeof(real));
        const real *x = at.value, *own = d + i * n_outputs;
        for (ptrdiff_t j = 0; j < at.n; ++j)
            for (ptrdiff_t k = 0; k < n_outputs; ++k)
                g[place[j] * n_outputs + k] += x[j] * own[k];
        place += at.n;
    }
}

static void FN(add_touched)(const fo_objective *it, fo_batch batch, const fo_touched *touched, const void *d, void *g)
{
    if (it->n_outputs == 1)
        FN(add_touched_rows)(it, batch, touched, d, 1, g);
    else
        FN(add_touched_rows)(it, batch, touched, d, it->n_outputs, g);
}

/* to[k] = sum of the derivatives of output k, in the dtype. */
static void FN(sum_derivatives)(const void *derivative, ptrdiff_t n, ptrdiff_t n_outputs, void *to)
{
    const real *d = derivative;
    for (ptrdiff_t k = 0; k < n_outputs; ++k) {
        double sum = 0.0;
        for (ptrdiff_t i = 0; i < n; ++i)
            sum += d[i * n_outputs + k];
        ((real *)to)[k] = (real)sum;
    }
}

/* g += l2 w, and l1 sign(w). */
static void FN(add_penalty)(const void *w, ptrdiff_t n, double l2, double l1, void *g)
{
    const real *p = w, a = (real)l2, b = (real)l1;
    real *FO_RESTRICT to = g;
    FO_SIMD
    for (ptrdiff_t j = 0; j < n; ++j)
        to[j] += a * p[j] + (p[j] > 0 ? b : p[j] < 0 ? -b : 0);
}

static double FN(sum_squares)(const void *values, ptrdiff_t n) { return FN(squared_norm)(values, n); }

static const fo_row_kernels FN(kernels) = {
    .margins = FN(margins),
    .add_dense = FN(add_dense),
    .add_sparse = FN(add_sparse),
    .add_intercepts = FN(add_intercepts),
    .add_widened = FN(add_widened),
    .labels = FN(labels),
    .collect = FN(collect),
    .gather = FN(gather),
    .margins_of_touched = FN(margins_of_touched),
    .add_touched = FN(add_touched),
    .sum_derivatives = FN(sum_derivatives),
    .add_penalty = FN(add_penalty),
    .sum_squares = FN(sum_squares),
};
