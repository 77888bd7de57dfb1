/* saga_svrg_tmpl.h -- the loops of saga_svrg.h; once per (instruction set, dtype) by saga_svrg.c. */
#include "finite_sum/margins_tmpl.h"
#include "finite_sum/sample_loss_tmpl.h"

/* The scalars of a step, rounded to the dtype; `share`, of a change in the mean gradient: 1 / n_samples, for SVRG 0. */
typedef struct {
    real decay, rate, threshold, share;
} FN(scalars);

FO_INLINE FN(scalars) FN(scalars_of)(const fo_saga_svrg *it)
{
    const FN(scalars) c = {(real)(1.0 - it->learning_rate * it->l2), (real)it->learning_rate,
                           (real)(it->learning_rate * it->l1),
                           (real)(it->updates_memory ? 1.0 / (double)it->objective->n_samples : 0.0)};
    return c;
}

FO_INLINE real FN(stepped)(real w, real gradient, FN(scalars) c)
{
    const real moved = c.decay * w - c.rate * gradient;
    return c.threshold == 0 ? moved : SOFT_THRESHOLD(moved, c.threshold);
}

/* Loss and derivatives of one sample from its margins, which are in the workspace; returns whether loss and gradient
 * are finite. The derivatives become their change against those in the gradient memory. */
FO_INLINE int FN(derive)(fo_saga_svrg *it, fo_sample at, ptrdiff_t sample)
{
    const fo_objective *objective = it->objective;
    const ptrdiff_t n_outputs = objective->n_outputs;
    real *z = it->workspace, *d = z + n_outputs;
    real *memory = (real *)it->gradient_memory + sample * n_outputs;
    const double loss = FN(sample_loss)(objective, sample, z);
    if (!IS_FINITE(loss) || !FN(gradient_is_finite)(at, FN(largest)(d, n_outputs))) {
        it->end = IS_FINITE(loss) ? FO_BAD_GRADIENT : FO_BAD_LOSS;
        return 0;
    }
    it->loss += loss;
    for (ptrdiff_t k = 0; k < n_outputs; ++k) {
        const real change = d[k] - memory[k];
        if (it->updates_memory)
            memory[k] = d[k];
        d[k] = change;
    }
    return 1;
}

/* The same from the parameters. */
FO_INLINE int FN(derive_from_parameters)(fo_saga_svrg *it, fo_sample at, ptrdiff_t sample, const fo_format format)
{
    const fo_objective *objective = it->objective;
    const real *w = it->param;
    const real *intercept = objective->intercept ? w + objective->n_features * objective->n_outputs : NULL;
    FN(margin)(at, w, intercept, objective->n_outputs, it->workspace, format);
    return FN(derive)(it, at, sample);
}

/* One step of the `width` parameters of a column, whose entry in the sample is x. */
FO_INLINE void FN(step_column)(real *w, real *mean, real x, const real *change, const ptrdiff_t width, FN(scalars) c)
{
    for (ptrdiff_t k = 0; k < width; ++k) {
        w[k] = FN(stepped)(w[k], change[k] * x + mean[k], c);
        mean[k] += c.share * change[k] * x;
    }
}

/* The intercepts are in every sample, and not penalised. */
FO_INLINE void FN(step_intercepts)(fo_saga_svrg *it, const real *change, FN(scalars) c)
{
    const ptrdiff_t width = it->objective->n_outputs, at = it->objective->n_features * width;
    c.decay = 1;
    c.threshold = 0;
    if (it->objective->intercept)
        FN(step_column)((real *)it->param + at, (real *)it->mean_gradient + at, 1, change, width, c);
}

/* --- dense samples ---------------------------------------------------------------------------------------------- */

FO_INLINE void FN(step_dense)(fo_saga_svrg *it, const real *x, const real *change, FN(scalars) c)
{
    const ptrdiff_t width = it->objective->n_outputs, n = it->objective->n_features;
    real *FO_RESTRICT w = it->param, *FO_RESTRICT mean = it->mean_gradient;
    const real own = change[0];
    if (width == 1) {
        FO_SIMD
        for (ptrdiff_t j = 0; j < n; ++j) {
            const real g = own * x[j];
            w[j] = FN(stepped)(w[j], g + mean[j], c);
            mean[j] += c.share * g;
        }
        return;
    }
    for (ptrdiff_t j = 0; j < n; ++j)
        FN(step_column)(w + j * width, mean + j * width, x[j], change, width, c);
}

static void FN(run_dense)(fo_saga_svrg *it)
{
    const fo_objective *objective = it->objective;
    const FN(scalars) c = FN(scalars_of)(it);
    const real *change = (real *)it->workspace + objective->n_outputs;
    for (ptrdiff_t i = 0; i < it->samples.n; ++i) {
        const ptrdiff_t sample = sample_of(it->samples, i);
        const fo_sample at = dense_sample(objective, sample, sizeof(real));
        prefetch_sample(objective, it->samples, i, FO_DENSE_SAMPLES, sizeof(real));
        if (!FN(derive_from_parameters)(it, at, sample, FO_DENSE_SAMPLES))
            return;
        FN(step_dense)(it, at.data, change, c);
        FN(step_intercepts)(it, change, c);
        ++it->n_done;
        if (fo_interrupted(it->poll))
            break;
    }
}

/* --- CSR samples: lagged updates -------------------------------------------------------------------------------- */

/* One step of a column without an entry, which only follows the mean: `drift` is the rate times it. */
FO_INLINE double FN(drifted)(const fo_saga_svrg *it, double w, double drift)
{
    return soft_threshold(it->weight_scale[1] * w - drift, it->learning_rate * it->l1);
}

/* w after k steps w = soft(a w - drift, threshold). As long as w keeps its side of zero a step is linear, and k of
 * them have a closed form; a parameter that comes to zero either stays there or goes on to the other side, once. */
static double FN(drifted_through_zero)(const fo_saga_svrg *it, double w, double drift, ptrdiff_t k)
{
    const double threshold = it->learning_rate * it->l1;
    for (; it->weight_scale[1] < 0 && k > 0; --k)       /* rate l2 > 1: each step leaps over zero */
        w = FN(drifted)(it, w, drift);
    while (k > 0) {
        if (w == 0 && drift <= threshold && -drift <= threshold)
            return 0.0;
        const double side = w > 0 || (w == 0 && drift < 0) ? 1.0 : -1.0, pull = drift + side * threshold;
        ptrdiff_t low = 0, high = k;             /* on its side after `low` steps; after `high`? */
        if ((it->weight_scale[k] * w - pull * it->cumulative_scale[k]) * side >= 0 || w != w)
            return it->weight_scale[k] * w - pull * it->cumulative_scale[k];
        while (high - low > 1) {
            const ptrdiff_t middle = (low + high) / 2;
            if ((it->weight_scale[middle] * w - pull * it->cumulative_scale[middle]) * side > 0)
                low = middle;
            else
                high = middle;
        }
        w = FN(drifted)(it, it->weight_scale[low] * w - pull * it->cumulative_scale[low], drift);
        k -= high;
    }
    return w;
}

/* The steps of a column since it was read last, for which the mean was its gradient. */
FO_INLINE void FN(lagged_update)(fo_saga_svrg *it, ptrdiff_t column, int32_t now, const ptrdiff_t width,
                                 const int has_l1)
{
    real *w = (real *)it->param + column * width;
    const real *mean = (const real *)it->mean_gradient + column * width;
    const ptrdiff_t k = now - it->n_updates[column];
    if (k == 0)
        return;
    const double scale = it->weight_scale[k], drift = it->learning_rate * it->cumulative_scale[k];
    for (ptrdiff_t j = 0; j < width; ++j)
        w[j] = (real)(has_l1 ? FN(drifted_through_zero)(it, w[j], it->learning_rate * mean[j], k)
                             : scale * w[j] - drift * mean[j]);
    it->n_updates[column] = now;
}

FO_INLINE void FN(run_lagged)(fo_saga_svrg *it, const ptrdiff_t width, const int has_l1, const fo_format format)
{
    const fo_objective *objective = it->objective;
    const FN(scalars) c = FN(scalars_of)(it);
    const real *change = (real *)it->workspace + width;
    const char *const arrays[] = {it->param, it->mean_gradient, (const char *)it->n_updates};
    const size_t row = (size_t)width * sizeof(real), widths[] = {row, row, sizeof(int32_t)};
    for (ptrdiff_t i = 0; i < it->samples.n; ++i) {
        const ptrdiff_t sample = sample_of(it->samples, i);
        const fo_sample at = csr_sample(objective, sample, format, sizeof(real));
        const int32_t now = (int32_t)(it->n_lagged + i);
        prefetch_sample(objective, it->samples, i, format, sizeof(real));
        prefetch_columns(objective, it->samples, i, arrays, widths, 3, format);
        for (ptrdiff_t j = 0; j < at.n; ++j)
            FN(lagged_update)(it, column_of(at, j, format), now, width, has_l1);
        if (!FN(derive_from_parameters)(it, at, sample, format))
            break;
        for (ptrdiff_t j = 0; j < at.n; ++j) {
            const ptrdiff_t column = column_of(at, j, format);
            FN(step_column)((real *)it->param + column * width, (real *)it->mean_gradient + column * width,
                            ((const real *)at.data)[j], change, width, c);
            it->n_updates[column] = now + 1;
        }
        FN(step_intercepts)(it, change, c);
        ++it->n_done;
        if (fo_interrupted(it->poll))
            break;
    }
}

FO_INLINE void FN(flush_lagged)(fo_saga_svrg *it, const ptrdiff_t width, const int has_l1)
{
    for (ptrdiff_t column = 0; column < it->objective->n_features; ++column) {
        FN(lagged_update)(it, column, (int32_t)it->n_lagged, width, has_l1);
        it->n_updates[column] = 0;
    }
}

/* --- CSR samples ------------------------------------------------------------------------------------------------ */

#include "finite_sum/scaled_weights_tmpl.h"

static void FN(run_csr)(fo_saga_svrg *it)
{
    const ptrdiff_t width = it->objective->n_outputs;
    const int has_l1 = it->l1 != 0, index64 = has_index64(it->objective);
    if (it->scaled_columns)
        FO_BY_CSR_FORMAT(it->objective, FN(run_scaled), it);
    else if (width == 1 && !index64)
        has_l1 ? FN(run_lagged)(it, 1, 1, FO_CSR32) : FN(run_lagged)(it, 1, 0, FO_CSR32);
    else
        FO_BY_CSR_FORMAT(it->objective, FN(run_lagged), it, width, has_l1);
}

static void FN(flush_csr)(fo_saga_svrg *it)
{
    const ptrdiff_t width = it->objective->n_outputs;
    const int has_l1 = it->l1 != 0;
    if (it->scaled_columns)
        FN(flush_scaled)(it);
    else if (width == 1)
        has_l1 ? FN(flush_lagged)(it, 1, 1) : FN(flush_lagged)(it, 1, 0);
    else
        FN(flush_lagged)(it, width, has_l1);
}

static const saga_svrg_kernels FN(kernels) = {FN(run_dense), FN(run_csr), FN(flush_csr)};
