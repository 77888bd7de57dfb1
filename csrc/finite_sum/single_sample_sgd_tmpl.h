/* single_sample_sgd_tmpl.h -- the loop of single_sample_sgd.h; once per (instruction set, dtype). */
#include "finite_sum/margins_tmpl.h"
#include "finite_sum/sample_loss_tmpl.h"
#include "finite_sum/sample_outputs_tmpl.h"

/* The entries of the tables before and after a step, and its learning rate. */
typedef struct {
    double scale, next_scale;
    double penalty;              /* cumulative, before; unscaled, the threshold of the step */
    double rate;
} FN(scaling);

/* --- with l1, where v is in double and every weight has to be brought back ---------------------------------------- */

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

/* --- without ------------------------------------------------------------------------------------------------------ */

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

/* The step of unscaled weights of one output, with its derivative. */
FO_INLINE void FN(step_unscaled)(FN(part) part, real *FO_RESTRICT p, real d)
{
    const real *x = part.at.data;
    FO_SIMD
    for (ptrdiff_t j = 0; j < part.at.n; ++j)
        p[j] = FN(unscaled_step)(&part, p[j], d * x[j]);
}

/* --- with several outputs ----------------------------------------------------------------------------------------- */

/* What steps read and write. */
typedef struct {
    const fo_objective *it;
    fo_worker *worker;           /* whose memory is used */
    real *p, *intercept;         /* the intercepts, or NULL */
    double *v;                   /* scaled weights with l1 */
    real l2;                     /* of unscaled weights */
    int others;                  /* other workers write the same */
} FN(place);

/* Dense samples touch all weights, so that with l1 these are not scaled, but get the threshold of each step. */
FO_INLINE int FN(is_unscaled)(const int form, const fo_format format)
{
    return (form & WITH_L1) && format == FO_DENSE_SAMPLES;
}

FO_INLINE FN(part) FN(part_of)(const FN(place) *of, fo_sample at, FN(scaling) c)
{
    const FN(part) part = {at, 0, at.n, of->it->n_outputs, c.penalty, (real)c.rate, of->l2};
    return part;
}

FO_INLINE void FN(margins_of_rows)(const FN(place) *of, fo_sample at, FN(scaling) c, real *z, const int form,
                                   const fo_format format)
{
    const FN(part) part = FN(part_of)(of, at, c);
    if (!(form & WITH_L1) || FN(is_unscaled)(form, format)) {
        FN(margins)(part, of->p, of->intercept, c.scale, z, format);
        return;
    }
    FN(gather_rows)(part, of->v, of->worker->gathered, format);
    FN(margins)(part, of->worker->gathered, of->intercept, c.scale, z, FO_DENSE_SAMPLES);
}

/* The derivatives are overwritten. */
FO_INLINE void FN(step_rows)(const FN(place) *of, fo_sample at, FN(scaling) c, real *d, const int form,
                             const fo_format format)
{
    const FN(part) part = FN(part_of)(of, at, c);
    const double factor = FN(is_unscaled)(form, format) ? 1.0 : c.rate / c.next_scale;
    for (ptrdiff_t k = 0; k < part.n_outputs; ++k) {
        if (of->intercept)
            of->intercept[k] -= (real)(c.rate * d[k]);
        d[k] = (real)(factor * d[k]);
    }
    for (ptrdiff_t lo = 0; lo < at.n; lo += SOME_COLUMNS) {
        const FN(part) some = FN(part_from)(part, lo);
        if (FN(is_unscaled)(form, format))
            FO_IN_TILES(FN(unscaled_step_of_tile), &some, d, of->p, format);
        else if (form & WITH_L1)
            FO_IN_TILES(FN(scaled_step_of_tile), &some, d, of->v, format);
        else
            FO_IN_TILES(FN(step_of_tile), &some, d, of->p, format);
    }
}

/* --- any number of outputs ---------------------------------------------------------------------------------------- */

FO_INLINE void FN(find_margins)(const FN(place) *of, fo_sample at, FN(scaling) c, real *z, const int form,
                                const fo_format format)
{
    double *w = of->worker->gathered, product;
    if (form & SEVERAL) {
        FN(margins_of_rows)(of, at, c, z, form, format);
        return;
    }
    if ((form & WITH_L1) && !FN(is_unscaled)(form, format)) {
        FN(bring_back)(at, of->v, c, w, format);
        product = FN(product)(at, w);
    } else
        product = c.scale * FN(dot)(at, of->p, format);
    *z = (real)(product + (of->intercept ? *of->intercept : 0));
}

FO_INLINE void FN(step)(const FN(place) *of, fo_sample at, FN(scaling) c, real *d, const int form,
                        const fo_format format)
{
    double *w = of->worker->gathered;
    const double change = c.rate * *d;
    if (form & SEVERAL) {
        FN(step_rows)(of, at, c, d, form, format);
        return;
    }
    if (FN(is_unscaled)(form, format))
        FN(step_unscaled)(FN(part_of)(of, at, c), of->p, *d);
    else if (form & WITH_L1) {
        if (of->others)          /* again: a lock-free worker may have been there since */
            FN(bring_back)(at, of->v, c, w, format);
        FN(step_scaled)(at, of->v, change, c, w, format);
    } else
        FN(step_columns)(at, of->p, change, c, format);
    if (of->intercept)
        *of->intercept -= (real)change;
}

/* The rows of a sample to come. */
FO_INLINE void FN(prefetch_weights)(const FN(place) *of, fo_batch samples, ptrdiff_t i, const int form,
                                    const fo_format format)
{
    const char *rows = form & WITH_L1 ? (const char *)of->v : (const char *)of->p;
    const size_t entry = form & WITH_L1 ? sizeof(double) : sizeof(real);
    prefetch_rows(of->it, samples, i, rows, entry * (size_t)of->it->n_outputs, format);
}

/* Samples to come are fetched while the loss is computed, a long chain of few instructions: a fifth faster than before
 * the margin, whose loads would have to wait for theirs. */
FO_INLINE void FN(run_samples)(const fo_segment *segment, fo_worker *worker, ptrdiff_t first, const int form,
                               const fo_format format)
{
    const fo_objective *it = segment->objective;
    const fo_penalty *penalty = segment->penalty;
    const fo_batch samples = segment->samples;
    const ptrdiff_t stride = segment->n_workers, before = (ptrdiff_t)(segment->optimizer->t - penalty->start);
    const ptrdiff_t n_outputs = form & SEVERAL ? it->n_outputs : 1, n_labels = form & SEVERAL ? it->n_labels : 1;
    const int unscaled = FN(is_unscaled)(form, format);
    const double *scale = unscaled ? NULL : penalty->weight_scale + before;
    const double *cumulative = form & WITH_L1 && !unscaled ? penalty->cumulative_penalty + before : NULL;
    real *p = worker->array.param, one, *z = form & SEVERAL ? worker->derivative : &one;
    real *intercept = it->intercept ? p + weights_size(it) : NULL;
    const FN(place) of = {it, worker, p, intercept, segment->scaled, (real)penalty->l2, stride > 1};
    fo_loss_kernel *loss_kernel = loss_of(it);
    for (ptrdiff_t i = first; i < samples.n; i += stride) {
        const ptrdiff_t sample = sample_of(samples, i);
        const fo_sample at = sample_at(it, sample, format, sizeof(real));
        const double rate = segment->learning_rate[i + 1];
        FN(scaling) c = {1.0, 1.0, penalty->l1 * rate, (real)rate};      /* unscaled: rounded as rules do it */
        if (!unscaled)
            c = (FN(scaling)){scale[i], scale[i + 1], form & WITH_L1 ? cumulative[i] : 0.0, rate};
        FN(find_margins)(&of, at, c, z, form, format);
        prefetch_sample(it, samples, i, format, sizeof(real));
        if ((form & SEVERAL) && format != FO_DENSE_SAMPLES)
            FN(prefetch_weights)(&of, samples, i, form, format);
        const real *weights = n_labels == 1 ? (const real *)it->weight + sample
                                            : FN(weights_of_labels)(it, sample, worker->weight);
        const double loss = loss_kernel(it, z, (const real *)it->label + sample * n_labels, weights, n_labels, z);
        if (!IS_FINITE(loss) || !FN(gradient_is_finite)(at, FN(largest)(z, n_outputs))) {
            worker->end = IS_FINITE(loss) ? FO_BAD_GRADIENT : FO_BAD_LOSS;
            return;
        }
        worker->loss += loss;
        worker->squared_norm = form & SEVERAL ? FN(sum_squares)(z, n_outputs) : (double)*z * *z;
        FN(step)(&of, at, c, z, form, format);
        ++worker->n_done;
        if (fo_interrupted(segment->poll))
            return;
    }
}

/* Squared norm of the derivatives, and sample of the last step -> the squared norm of its gradient. */
static void FN(note_norm)(const fo_segment *segment, fo_worker *worker, ptrdiff_t first)
{
    const fo_objective *it = segment->objective;
    const ptrdiff_t last = first + (worker->n_done - 1) * segment->n_workers;
    const fo_sample at = sample_at(it, sample_of(segment->samples, last), it->format, sizeof(real));
    worker->squared_norm *= FN(sum_squares)(at.data, at.n) + it->intercept;
}

static void FN(run)(const fo_segment *segment, fo_worker *worker, ptrdiff_t first)
{
    const fo_objective *it = segment->objective;
    const int with_l1 = segment->penalty->l1 != 0, several = it->n_outputs > 1;
    if (with_l1 && several)
        FO_BY_FORMAT(it, FN(run_samples), segment, worker, first, WITH_L1 | SEVERAL);
    else if (with_l1)
        FO_BY_FORMAT(it, FN(run_samples), segment, worker, first, WITH_L1);
    else if (several)
        FO_BY_FORMAT(it, FN(run_samples), segment, worker, first, SEVERAL);
    else
        FO_BY_FORMAT(it, FN(run_samples), segment, worker, first, 0);
    if (worker->n_done > 0)
        FN(note_norm)(segment, worker, first);
}

static const single_sample_kernels FN(kernels) = {FN(run)};
