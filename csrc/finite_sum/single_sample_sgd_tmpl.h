/* single_sample_sgd_tmpl.h -- the loop of single_sample_sgd.h; once per (instruction set, dtype). */
#include "finite_sum/margins_tmpl.h"

/* The entries of the tables before and after a step. */
typedef struct {
    double scale, next_scale;
    double penalty;              /* cumulative, before */
} FN(scaling);

/* --- with l1, where v is in double and every weight has to be brought back -----------------------------------------
 */

/* The weights w of a sample's columns, side by side. */
FO_INLINE void FN(bring_back)(fo_sample at, const double *v, FN(scaling) c, double *FO_RESTRICT w,
                              const fo_format format)
{
    FO_SIMD
    for (ptrdiff_t j = 0; j < at.n; ++j)
        w[j] = from_scaled(v[column_of(at, j, format)], c.scale, c.penalty);
}

FO_INLINE double FN(product)(fo_sample at, const double *w)
{
    const real *x = at.data;
    double side[SIDE_BY_SIDE] = {0};
    ptrdiff_t j = 0;
    for (; j + SIDE_BY_SIDE <= at.n; j += SIDE_BY_SIDE) {
        FO_SIMD
        for (int k = 0; k < SIDE_BY_SIDE; ++k)
            side[k] += x[j + k] * w[j + k];
    }
    for (int k = 0; j < at.n; ++j, ++k)
        side[k] += x[j] * w[j];
    return ((side[0] + side[1]) + (side[2] + side[3])) + ((side[4] + side[5]) + (side[6] + side[7]));
}

/* The step on weights that were brought back. */
FO_INLINE void FN(step_scaled)(fo_sample at, double *v, double change, FN(scaling) c, double *FO_RESTRICT w,
                               const fo_format format)
{
    const double decay = c.next_scale / c.scale, one_over_scale = 1.0 / c.next_scale;
    const real *x = at.data;
    FO_SIMD
    for (ptrdiff_t j = 0; j < at.n; ++j)
        w[j] = to_scaled(w[j] * decay - change * x[j], one_over_scale, c.penalty);
    for (ptrdiff_t j = 0; j < at.n; ++j)
        v[column_of(at, j, format)] = w[j];
}

/* --- without ---------------------------------------------------------------------------------------------------------
 */

/* One step on the columns of a sample; `change` is the learning rate times the derivative. Two entries of a sample are
 * never in the same column. */
FO_INLINE void FN(step_columns)(fo_sample at, real *FO_RESTRICT p, double change, FN(scaling) c, const fo_format format)
{
    const real *x = at.data;
    const real scaled_change = (real)(change / c.next_scale);
    if (format == FO_DENSE_SAMPLES) {
        FO_SIMD
        for (ptrdiff_t j = 0; j < at.n; ++j)
            p[j] -= scaled_change * x[j];
        return;
    }
    for (ptrdiff_t j = 0; j < at.n; ++j)
        p[column_of(at, j, format)] -= scaled_change * x[j];
}

/* Samples to come are fetched while the loss is computed, a long chain of few instructions: a fifth faster than before
 * the margin, whose loads would have to wait for theirs. */
FO_INLINE void FN(run_samples)(const fo_segment *segment, fo_worker *worker, ptrdiff_t first, const int has_l1,
                               const fo_format format)
{
    const fo_objective *it = segment->objective;
    const fo_penalty *penalty = segment->penalty;
    const fo_batch samples = segment->samples;
    const ptrdiff_t stride = segment->n_workers, before = (ptrdiff_t)(segment->optimizer->t - penalty->start);
    const double *scale = penalty->weight_scale + before, *cumulative = penalty->cumulative_penalty + before;
    real *p = worker->array.param, *intercept = it->intercept ? p + it->n_features : NULL;
    double *v = segment->scaled, *w = worker->gathered;
    fo_loss_kernel *loss_kernel = loss_of(it);
    for (ptrdiff_t i = first; i < samples.n; i += stride) {
        const ptrdiff_t sample = sample_of(samples, i);
        const fo_sample at = sample_at(it, sample, format, sizeof(real));
        const FN(scaling) c = {scale[i], scale[i + 1], has_l1 ? cumulative[i] : 0.0};
        if (has_l1)
            FN(bring_back)(at, v, c, w, format);
        const double product = has_l1 ? FN(product)(at, w) : c.scale * FN(dot)(at, p, format);
        const real z = (real)(product + (intercept ? *intercept : 0));
        real d;
        prefetch_sample(it, samples, i, format, sizeof(real));
        const double loss = loss_kernel(it, &z, (const real *)it->label + sample, (const real *)it->weight + sample, 1,
                                        &d);
        const double rate = segment->learning_rate[i + 1];
        if (!IS_FINITE(loss) || !FN(gradient_is_finite)(at, d)) {
            worker->end = IS_FINITE(loss) ? FO_BAD_GRADIENT : FO_BAD_LOSS;
            return;
        }
        if (has_l1 && stride > 1)                /* again: a lock-free worker may have been there since */
            FN(bring_back)(at, v, c, w, format);
        if (has_l1)
            FN(step_scaled)(at, v, rate * d, c, w, format);
        else
            FN(step_columns)(at, p, rate * d, c, format);
        if (intercept)
            *intercept -= (real)(rate * d);
        worker->loss += loss;
        worker->squared_norm = d;    /* the derivative, of which note_norm makes the norm */
        ++worker->n_done;
        if (fo_interrupted(segment->poll))
            return;
    }
}

/* Derivative and sample of the last step -> the squared norm of its gradient. */
static void FN(note_norm)(const fo_segment *segment, fo_worker *worker, ptrdiff_t first)
{
    const fo_objective *it = segment->objective;
    const ptrdiff_t last = first + (worker->n_done - 1) * segment->n_workers;
    const fo_sample at = sample_at(it, sample_of(segment->samples, last), it->format, sizeof(real));
    worker->squared_norm *= worker->squared_norm * (FN(sum_squares)(at.data, at.n) + it->intercept);
}

/* l1 comes with CSR samples alone. */
static void FN(run)(const fo_segment *segment, fo_worker *worker, ptrdiff_t first)
{
    if (segment->penalty->l1 != 0)
        FO_BY_CSR_FORMAT(segment->objective, FN(run_samples), segment, worker, first, 1);
    else
        FO_BY_FORMAT(segment->objective, FN(run_samples), segment, worker, first, 0);
    if (worker->n_done > 0)
        FN(note_norm)(segment, worker, first);
}

static const single_sample_kernels FN(kernels) = {FN(run)};
