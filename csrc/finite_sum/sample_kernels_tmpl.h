/* sample_kernels_tmpl.h -- what is done with a batch of samples, written once for all losses; no threads here.
 *
 * Included once per (instruction set, dtype) by sample_kernels.c; the functions are explained in sample_kernels.h. */
#include "finite_sum/margins_tmpl.h"
#include "finite_sum/dense_outputs_tmpl.h"

FO_INLINE void FN(margins_of)(const fo_objective *it, fo_batch batch, const real *w, real *z, const fo_format format)
{
    const real *intercept = it->intercept ? w + it->n_features * it->n_outputs : NULL;
    for (ptrdiff_t i = 0; i < batch.n; ++i) {
        prefetch_sample(it, batch, i, format, sizeof(real));
        FN(margin)(sample_at(it, sample_of(batch, i), format, sizeof(real)), w, intercept, it->n_outputs,
                   z + i * it->n_outputs, format);
    }
}

static void FN(margins)(const fo_objective *it, fo_batch batch, const void *w, void *z)
{
    if (!is_sparse(it) && it->n_outputs > 1)
        FN(dense_margins)(it, batch, w, z);
    else
        FO_BY_FORMAT(it, FN(margins_of), it, batch, w, z);
}

FO_INLINE const real *FN(entries)(const fo_objective *it, fo_batch batch, ptrdiff_t i)
{
    return dense_sample(it, sample_of(batch, i), sizeof(real)).data;
}

/* Four samples at a time. */
FO_INLINE void FN(add_one_output)(const fo_objective *it, fo_batch batch, const real *d, ptrdiff_t lo, ptrdiff_t hi,
                                  real *FO_RESTRICT g)
{
    ptrdiff_t i = 0;
    for (; i + 4 <= batch.n; i += 4) {
        const real *x0 = FN(entries)(it, batch, i), *x1 = FN(entries)(it, batch, i + 1);
        const real *x2 = FN(entries)(it, batch, i + 2), *x3 = FN(entries)(it, batch, i + 3);
        const real d0 = d[i], d1 = d[i + 1], d2 = d[i + 2], d3 = d[i + 3];
        FO_SIMD
        for (ptrdiff_t j = lo; j < hi; ++j)
            g[j] += (d0 * x0[j] + d1 * x1[j]) + (d2 * x2[j] + d3 * x3[j]);
    }
    for (; i < batch.n; ++i) {
        const real *x = FN(entries)(it, batch, i), own = d[i];
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
    if (it->n_outputs == 1)
        FN(add_one_output)(it, batch, d, lo, hi, g);
    else
        FN(dense_gradient)(it, batch, d, lo, hi, g);
}

/* In double: a column may meet any number of samples. */
FO_INLINE void FN(add_csr_samples)(const fo_objective *it, fo_batch batch, const real *d, double *FO_RESTRICT g,
                                   const ptrdiff_t n_outputs, const fo_format format)
{
    for (ptrdiff_t i = 0; i < batch.n; ++i) {
        const fo_sample at = csr_sample(it, sample_of(batch, i), format, sizeof(real));
        const real *x = at.data, *own = d + i * n_outputs;
        for (ptrdiff_t j = 0; j < at.n; ++j) {
            double *place = g + column_of(at, j, format) * n_outputs;
            for (ptrdiff_t k = 0; k < n_outputs; ++k)
                place[k] += (double)x[j] * own[k];
        }
    }
}

static void FN(add_csr)(const fo_objective *it, fo_batch batch, const void *derivative, double *gradient)
{
    if (it->n_outputs > 1)
        FO_BY_CSR_FORMAT(it, FN(add_csr_samples), it, batch, derivative, gradient, it->n_outputs);
    else
        FO_BY_CSR_FORMAT(it, FN(add_csr_samples), it, batch, derivative, gradient, 1);
}

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

static void FN(labels)(const fo_objective *it, fo_batch batch, ptrdiff_t lo, ptrdiff_t hi, double scale, void *labels,
                       void *weights)
{
    real *label = labels, *weight = weights;
    ptrdiff_t i = lo / it->n_labels, k = lo % it->n_labels;      /* sample, and which of its labels */
    for (ptrdiff_t at = lo; at < hi; ++at) {
        const ptrdiff_t sample = sample_of(batch, i);
        *label++ = ((const real *)it->label)[sample * it->n_labels + k];
        *weight++ = (real)(((const real *)it->weight)[sample] * scale);
        if (++k == it->n_labels) {
            k = 0;
            ++i;
        }
    }
}

FO_INLINE void FN(collect_columns)(const fo_objective *it, fo_batch batch, fo_seen *before, fo_touched *to,
                                   const fo_format format)
{
    int32_t *FO_RESTRICT seen = before->place, *FO_RESTRICT place = to->place;
    int32_t n = 0;
    const int32_t base = before->base;
    ptrdiff_t entry = 0;
    for (ptrdiff_t i = 0; i < batch.n; ++i) {
        prefetch_indices(it, batch, i, format);
        const fo_sample at = csr_sample(it, sample_of(batch, i), format, sizeof(real));
        for (ptrdiff_t j = 0; j < at.n; ++j) {
            const ptrdiff_t column = column_of(at, j, format);
            const int32_t known = seen[column] - base, is_new = -(known < 0);
            const int32_t own = (n & is_new) | (known & ~is_new);    /* no branch: it could not be foreseen */
            seen[column] = base + own;
            place[entry++] = own;
            store_index(to->columns, format == FO_CSR64, n, column);
            n -= is_new;
        }
    }
    to->n = n;
    to->n_entries = entry;
}

static void FN(collect)(const fo_objective *it, fo_batch batch, fo_seen *seen, fo_touched *to)
{
    FO_BY_CSR_FORMAT(it, FN(collect_columns), it, batch, seen, to);
}

static void FN(position)(const fo_touched *touched, int index64, ptrdiff_t n, ptrdiff_t spacing)
{
    const int32_t *columns = touched->columns;
    int32_t *FO_RESTRICT positions = touched->positions;
    for (ptrdiff_t j = 0; index64 && j < n; ++j)
        ((int64_t *)touched->positions)[j] = ((const int64_t *)touched->columns)[j] * spacing;
    FO_SIMD
    for (ptrdiff_t j = 0; j < (index64 ? 0 : n); ++j)
        positions[j] = columns[j] * (int32_t)spacing;
}

FO_INLINE void FN(gather_columns)(const fo_touched *touched, const real *w, const ptrdiff_t n_outputs, real *to,
                                  const fo_format format)
{
    const ptrdiff_t fetched = touched->positions == touched->columns ? 0 : touched->n - GATHERED_AHEAD;
    for (ptrdiff_t j = 0; j < fetched; ++j) {
        PREFETCH_TO_L2(w + load_index(touched->positions, format == FO_CSR64, j + GATHERED_AHEAD));
        to[j] = w[load_index(touched->positions, format == FO_CSR64, j)];
    }
    for (ptrdiff_t j = fetched > 0 ? fetched : 0; j < touched->n; ++j)
        for (ptrdiff_t k = 0; k < n_outputs; ++k)
            to[j * n_outputs + k] = w[load_index(touched->positions, format == FO_CSR64, j) * n_outputs + k];
}

static void FN(gather)(const fo_objective *it, const fo_touched *touched, const void *w, void *to)
{
    if (it->n_outputs == 1)
        FO_BY_CSR_FORMAT(it, FN(gather_columns), touched, w, 1, to);
    else
        FN(gather_columns)(touched, w, it->n_outputs, to, it->format);
}

static void FN(margins_of_touched)(const fo_collected *it, const fo_gathered *w, ptrdiff_t lo, ptrdiff_t hi,
                                   ptrdiff_t entry, void *z)
{
    const fo_objective *objective = it->objective;
    const ptrdiff_t n_outputs = objective->n_outputs;
    for (ptrdiff_t i = lo; i < hi; ++i) {
        prefetch_data(objective, it->batch, i, objective->format, sizeof(real));
        fo_sample at = csr_sample(objective, sample_of(it->batch, i), objective->format, sizeof(real));
        at.indices = it->touched->place + entry;
        entry += at.n;
        FN(margin)(at, w->weights, w->intercept, n_outputs, (real *)z + i * n_outputs, FO_CSR32);
    }
}

FO_INLINE void FN(add_touched_columns)(const fo_collected *it, const real *d, const ptrdiff_t n_outputs,
                                       real *FO_RESTRICT g)
{
    const int32_t *place = it->touched->place;
    for (ptrdiff_t i = 0; i < it->batch.n; ++i) {
        const fo_sample at = csr_sample(it->objective, sample_of(it->batch, i), it->objective->format, sizeof(real));
        const real *x = at.data, *own = d + i * n_outputs;
        for (ptrdiff_t j = 0; j < at.n; ++j)
            for (ptrdiff_t k = 0; k < n_outputs; ++k)
                g[place[j] * n_outputs + k] += x[j] * own[k];
        place += at.n;
    }
}

static void FN(add_touched)(const fo_collected *it, const void *d, void *g)
{
    if (it->objective->n_outputs == 1)
        FN(add_touched_columns)(it, d, 1, g);
    else
        FN(add_touched_columns)(it, d, it->objective->n_outputs, g);
}

static void FN(add_rows)(const int32_t *place, ptrdiff_t n, ptrdiff_t n_outputs, ptrdiff_t last, const void *rows,
                         void *gradient)
{
    const real *from = rows;
    real *FO_RESTRICT g = gradient;
    for (ptrdiff_t j = 0; j < n; ++j) {
        real *to = g + (place[j] < 0 ? last : place[j]) * n_outputs;
        for (ptrdiff_t k = 0; k < n_outputs; ++k)
            to[k] += *from++;
    }
}

/* In the dtype, from sums in double. */
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

static void FN(add_linear)(const void *linear, ptrdiff_t n, void *g)
{
    const real *a = linear;
    real *FO_RESTRICT to = g;
    FO_SIMD
    for (ptrdiff_t j = 0; j < n; ++j)
        to[j] += a[j];
}

static double FN(linear_value)(const void *linear, const void *w, ptrdiff_t n) { return FN(dense_dot)(linear, w, n); }

static void FN(add_penalty)(const void *w, ptrdiff_t n, double l2, double l1, void *g)
{
    const real *p = w, a = (real)l2, b = (real)l1;
    real *FO_RESTRICT to = g;
    FO_SIMD
    for (ptrdiff_t j = 0; j < n; ++j)
        to[j] += a * p[j] + (p[j] > 0 ? b : p[j] < 0 ? -b : 0);
}

static double FN(penalty_value)(const void *w, ptrdiff_t n, double l2, double l1)
{
    const real *p = w;
    double sum = 0.0;
    for (ptrdiff_t j = 0; l1 != 0 && j < n; ++j)
        sum += ABS(p[j]);
    return l2 / 2 * FN(sum_squares)(p, n) + l1 * sum;
}

static double FN(sum_squares_of)(const void *values, ptrdiff_t n) { return FN(sum_squares)(values, n); }

static const fo_sample_kernels FN(kernels) = {
    .margins = FN(margins),
    .add_dense = FN(add_dense),
    .add_csr = FN(add_csr),
    .add_intercepts = FN(add_intercepts),
    .add_widened = FN(add_widened),
    .labels = FN(labels),
    .collect = FN(collect),
    .position = FN(position),
    .gather = FN(gather),
    .margins_of_touched = FN(margins_of_touched),
    .add_touched = FN(add_touched),
    .add_rows = FN(add_rows),
    .sum_derivatives = FN(sum_derivatives),
    .add_linear = FN(add_linear),
    .linear_value = FN(linear_value),
    .add_penalty = FN(add_penalty),
    .penalty_value = FN(penalty_value),
    .sum_squares = FN(sum_squares_of),
};
