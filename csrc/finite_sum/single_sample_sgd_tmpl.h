/* single_sample_sgd_tmpl.h -- the loop of single_sample_sgd.h; once per (instruction set, dtype). */
#include "finite_sum/margins_tmpl.h"

/* The entries of the tables before and after a step. */
typedef struct {
    double scale, next_scale;
    double penalty;              /* cumulative, before */
} FN(scaling);

FO_INLINE real FN(from_scaled)(real v, double scale, double penalty)
{
    return (real)(scale * soft_threshold(v, penalty));
}

FO_INLINE real FN(to_scaled)(real w, double scale, double penalty)
{
    const double size = ABS(w) / scale + penalty;
    return w == 0 ? 0 : (real)(w > 0 ? size : -size);
}

/* Margin with l1, where every parameter has to be brought back. */
FO_INLINE double FN(scaled_dot)(fo_sample at, const real *p, FN(scaling) c, const fo_format format)
{
    const real *x = at.data;
    double sum = 0.0;
    for (ptrdiff_t j = 0; j < at.n; ++j)
        sum += (double)x[j] * FN(from_scaled)(p[column_of(at, j, format)], c.scale, c.penalty);
    return sum;
}

/* One step on the columns of a sample; `change` is the learning rate times the derivative. Two entries of a sample are
 * never in the same column. */
FO_INLINE void FN(step_columns)(fo_sample at, real *FO_RESTRICT p, double change, FN(scaling) c, const int has_l1,
                                const fo_format format)
{
    const real *x = at.data;
    const real scaled_change = (real)(change / c.next_scale);
    if (format == FO_DENSE_SAMPLES) {
        FO_SIMD
        for (ptrdiff_t j = 0; j < at.n; ++j)
            p[j] -= scaled_change * x[j];
        return;
    }
    for (ptrdiff_t j = 0; j < at.n; ++j) {
        real *place = p + column_of(at, j, format);
        if (has_l1) {
            const double w = FN(from_scaled)(*place, c.scale, c.penalty);
            *place = FN(to_scaled)((real)(w * (c.next_scale / c.scale) - change * x[j]), c.next_scale, c.penalty);
        } else
            *place -= scaled_change * x[j];
    }
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
    fo_loss_kernel *loss_kernel = loss_of(it);
    for (ptrdiff_t i = first; i < samples.n; i += stride) {
        const ptrdiff_t sample = sample_of(samples, i);
        const fo_sample at = sample_at(it, sample, format, sizeof(real));
        const FN(scaling) c = {scale[i], scale[i + 1], has_l1 ? cumulative[i] : 0.0};
        const double product = has_l1 ? FN(scaled_dot)(at, p, c, format) : c.scale * FN(dot)(at, p, format);
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
        FN(step_columns)(at, p, rate * d, c, has_l1, format);
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

static void FN(flush)(void *param, ptrdiff_t lo, ptrdiff_t hi, double scale, double penalty)
{
    real *p = param;
    for (ptrdiff_t j = lo; j < hi; ++j)
        p[j] = FN(from_scaled)(p[j], scale, penalty);
}

static const single_sample_kernels FN(kernels) = {FN(run), FN(flush)};
