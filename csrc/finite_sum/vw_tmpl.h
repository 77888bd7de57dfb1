/* vw_tmpl.h -- the loops of vw.h; once per (instruction set, dtype) by vw.c. */
#include "finite_sum/margins_tmpl.h"
#include "finite_sum/sample_loss_tmpl.h"

/* Beyond this an accumulator does not grow: its root, of which a rate is made, stays finite. */
#define MOST(type) ((type)(sizeof(type) == sizeof(float) ? 3e38 : 1e308))

/* The parameters of one target and their state, an entry for each column `width` entries apart, and the intercept. */
typedef struct {
    real *w, *a, *s, *directions;
    ptrdiff_t width;
} FN(target);

/* Of one feature x, or summed over those of a sample: xi^2; x times its direction. */
typedef struct {
    double norm, sensitivity;
} FN(sums);

typedef struct {
    real direction, square, product;
} FN(measured);

FO_INLINE FN(target) FN(target_of)(const fo_vw *it, ptrdiff_t k, const ptrdiff_t width)
{
    const FN(target) target = {(real *)it->param + k, (real *)it->accumulator + k, (real *)it->scale + k,
                               (real *)it->workspace + 3 * width, width};
    return target;
}

/* --- penalties ---------------------------------------------------------------------------------------------------- */

/* The penalties that a parameter has missed. It stays where no sample has moved it yet. */
FO_INLINE void FN(lagged_update)(const fo_vw *it, ptrdiff_t entry, double rate_sum)
{
    const double a = ((const real *)it->accumulator)[entry], s = ((const real *)it->scale)[entry];
    real *w = (real *)it->param + entry;
    if (a > 0 && *w != 0 && it->last_rate_sum[entry] != rate_sum) {
        const double time = (rate_sum - it->last_rate_sum[entry]) / (__builtin_sqrt(a) * s) / s;
        *w = (real)penalty_flow(*w, MIN(time, FO_LONGEST_TIME), it->l2, it->l1);
    }
    it->last_rate_sum[entry] = rate_sum;
}

FO_INLINE void FN(penalise_sample)(const fo_vw *it, fo_sample at, const ptrdiff_t width, const fo_format format)
{
    const real *x = at.data;
    for (ptrdiff_t j = 0; j < at.n; ++j)
        for (ptrdiff_t k = 0; k < width; ++k)
            if (x[j] != 0)
                FN(lagged_update)(it, column_of(at, j, format) * width + k, it->rate_sum[k]);
}

static void FN(flush)(fo_vw *it)
{
    const ptrdiff_t width = it->objective->n_outputs;
    for (ptrdiff_t entry = 0; entry < it->objective->n_features * width; ++entry) {
        FN(lagged_update)(it, entry, it->rate_sum[entry % width]);
        it->last_rate_sum[entry] = 0.0;
    }
    for (ptrdiff_t k = 0; k < width; ++k)
        it->rate_sum[k] = 0.0;
}

/* --- the step of a target ----------------------------------------------------------------------------------------- */

/* One feature x, of which w, a and s are the parameter and its state: brings them up to date. A feature of 0 changes
 * nothing. */
FO_INLINE FN(measured) FN(measure)(real x, real weighted_square, real *w, real *a, real *s)
{
    const real size = ABS(x), former = *s, now = size > former ? size : former;
    const real kept = now > former && former > 0 ? former / now : 1, unit = now > 0 ? x / now : 0;
    const real square = unit * unit, grown = *a * (kept * kept) + weighted_square * square;
    const real sum = unit != 0 ? MIN(grown, MOST(real)) : *a, root = SQRT(sum > 0 ? sum : 1);
    const real along = sum > 0 ? unit / root : 0;
    *w *= kept;
    *a = sum;
    *s = now;
    const FN(measured) feature = {now > 0 ? along / now : 0, square, unit * along};
    return feature;
}

FO_INLINE real FN(measure_one)(FN(target) at, ptrdiff_t entry, real x, real weighted_square, FN(sums) *sums)
{
    const FN(measured) feature = FN(measure)(x, weighted_square, at.w + entry, at.a + entry, at.s + entry);
    sums->norm += feature.square;
    sums->sensitivity += feature.product;
    return feature.direction;
}

FO_INLINE FN(sums) FN(measure_dense)(FN(target) at, const real *FO_RESTRICT x, ptrdiff_t n, real weighted_square)
{
    real *FO_RESTRICT w = at.w, *FO_RESTRICT a = at.a, *FO_RESTRICT s = at.s, *FO_RESTRICT directions = at.directions;
    real norm[FN(SIDE)] = {0}, sensitivity[FN(SIDE)] = {0};
    FN(sums) sums = {0.0, 0.0};
    ptrdiff_t j = 0;
    for (; j + FN(SIDE) <= n; j += FN(SIDE)) {
        FO_SIMD
        for (int k = 0; k < FN(SIDE); ++k) {
            const FN(measured) each = FN(measure)(x[j + k], weighted_square, w + j + k, a + j + k, s + j + k);
            directions[j + k] = each.direction;
            norm[k] += each.square;
            sensitivity[k] += each.product;
        }
    }
    for (int k = 0; k < FN(SIDE); ++k) {
        sums.norm += norm[k];
        sums.sensitivity += sensitivity[k];
    }
    for (; j < n; ++j)
        directions[j] = FN(measure_one)(at, j, x[j], weighted_square, &sums);
    return sums;
}

FO_INLINE FN(sums) FN(measure_columns)(FN(target) at, fo_sample sample, real weighted_square, const fo_format format)
{
    const real *x = sample.data;
    FN(sums) sums = {0.0, 0.0};
    for (ptrdiff_t j = 0; j < sample.n; ++j) {
        const ptrdiff_t entry = column_of(sample, j, format) * at.width;
        at.directions[j] = FN(measure_one)(at, entry, x[j], weighted_square, &sums);
    }
    return sums;
}

FO_INLINE void FN(move_columns)(FN(target) at, fo_sample sample, real step, const fo_format format)
{
    for (ptrdiff_t j = 0; j < sample.n; ++j)
        at.w[column_of(sample, j, format) * at.width] += step * at.directions[j];
}

FO_INLINE void FN(move_dense)(FN(target) at, ptrdiff_t n, real step)
{
    real *FO_RESTRICT w = at.w;
    const real *FO_RESTRICT directions = at.directions;
    FO_SIMD
    for (ptrdiff_t j = 0; j < n; ++j)
        w[j] += step * directions[j];
}

/* The root of the mean of the weighted sums of xi^2, upside down: the factor of all rates. */
FO_INLINE double FN(gain)(const fo_vw *it, ptrdiff_t k)
{
    return it->norm_sum[k] > 0 ? __builtin_sqrt(it->weight_sum[k] / it->norm_sum[k]) : 0.0;
}

/* One step of target k with sample `number`, whose margin and derivative, times its weight, are given. */
FO_INLINE void FN(step)(fo_vw *it, fo_sample sample, ptrdiff_t number, ptrdiff_t k, const ptrdiff_t width,
                        const fo_format format)
{
    const fo_objective *objective = it->objective;
    const double z = ((const real *)it->workspace)[k], d = ((const real *)it->workspace)[width + k];
    const double weight = ((const real *)objective->weight)[number];
    const double y = ((const real *)objective->label)[number * width + k];
    const FN(target) at = FN(target_of)(it, k, width);
    const real weighted_square = (real)MIN(d * d / weight, MOST(real));
    const ptrdiff_t intercept = objective->n_features * width;
    FN(sums) sums = format == FO_DENSE_SAMPLES && width == 1
                      ? FN(measure_dense)(at, sample.data, sample.n, weighted_square)
                      : FN(measure_columns)(at, sample, weighted_square, format);
    if (objective->intercept)
        at.directions[sample.n] = FN(measure_one)(at, intercept, 1, weighted_square, &sums);
    it->weight_sum[k] += weight;
    it->norm_sum[k] += weight * sums.norm;
    const double time = it->learning_rate * weight * FN(gain)(it, k) * sums.sensitivity;
    if (!(time > 0))
        return;
    const double moved = invariant_of(objective)(objective, z, y, MIN(time, FO_LONGEST_TIME));
    const real step = (real)(moved / sums.sensitivity);
    if (format == FO_DENSE_SAMPLES && width == 1)
        FN(move_dense)(at, sample.n, step);
    else
        FN(move_columns)(at, sample, step, format);
    if (objective->intercept)
        at.w[intercept] += step * at.directions[sample.n];
}

/* --- samples ------------------------------------------------------------------------------------------------------ */

/* Whether the losses of a sample's targets, whose sum this is, and their derivatives are finite. */
FO_INLINE int FN(is_good)(fo_vw *it, double loss)
{
    const real *d = (const real *)it->workspace + it->objective->n_outputs;
    int fits = 1;
    for (ptrdiff_t k = 0; k < it->objective->n_outputs; ++k)
        fits &= IS_FINITE(d[k]);
    if (!IS_FINITE(loss) || !fits)
        it->end = IS_FINITE(loss) ? FO_BAD_GRADIENT : FO_BAD_LOSS;
    return IS_FINITE(loss) && fits;
}

FO_INLINE void FN(run_samples)(fo_vw *it, const ptrdiff_t width, const fo_format format)
{
    const fo_objective *objective = it->objective;
    const real *w = it->param, *d = (const real *)it->workspace + width;
    const real *intercept = objective->intercept ? w + objective->n_features * width : NULL;
    const char *const arrays[] = {it->param, it->accumulator, it->scale, (const char *)it->last_rate_sum};
    const size_t row = (size_t)width * sizeof(real), widths[] = {row, row, row, (size_t)width * sizeof(double)};
    for (ptrdiff_t i = 0; i < it->samples.n; ++i) {
        const ptrdiff_t number = sample_of(it->samples, i);
        const fo_sample sample = sample_at(objective, number, format, sizeof(real));
        prefetch_sample(objective, it->samples, i, format, sizeof(real));
        if (format != FO_DENSE_SAMPLES)
            prefetch_columns(objective, it->samples, i, arrays, widths, it->last_rate_sum ? 4 : 3, format);
        if (it->last_rate_sum)
            FN(penalise_sample)(it, sample, width, format);
        FN(margin)(sample, w, intercept, width, it->workspace, format);
        const double loss = FN(sample_loss)(objective, number, it->workspace);
        if (!FN(is_good)(it, loss))
            return;
        for (ptrdiff_t k = 0; k < width; ++k) {
            if (d[k] != 0)
                FN(step)(it, sample, number, k, width, format);
            it->rate_sum[k] += it->learning_rate * FN(gain)(it, k);
        }
        it->loss += loss;
        ++it->n_done;
        if (fo_interrupted(it->poll))
            return;
    }
}

static void FN(run)(fo_vw *it)
{
    const ptrdiff_t width = it->objective->n_outputs;
    if (width == 1)
        FO_BY_FORMAT(it->objective, FN(run_samples), it, 1);
    else
        FO_BY_FORMAT(it->objective, FN(run_samples), it, width);
}

static const vw_kernels FN(kernels) = {FN(run), FN(flush)};
#undef MOST
