/* reduced_kernels.h -- the loops of reduced.h; once per (instruction set, dtype) by reduced.c. */
#include "finite_sum/margins_tmpl.h"

/* What all columns have in common, rounded once. */
typedef struct {
    real decay, rate, threshold, share;
} FN(constants);

FO_INLINE real FN(follow)(real w, real gradient, FN(constants) c)
{
    const real moved = c.decay * w - c.rate * gradient, size = ABS(moved) - c.threshold;
    return c.threshold == 0 ? moved : size > 0 ? (moved > 0 ? size : -size) : moved != moved ? moved : 0;
}

/* Loss and derivatives of one sample from its margins; what is returned tells whether loss and gradient are finite. The
 * derivatives become their difference to those in the table. */
FO_INLINE int FN(look_at_margin)(fo_reduced *it, fo_row at, ptrdiff_t sample)
{
    const fo_objective *objective = it->objective;
    const ptrdiff_t n_outputs = objective->n_outputs;
    real *z = it->margin, *d = z + n_outputs, *before = (real *)it->table + sample * n_outputs;
    int fits = 1;
    const double loss = objective->loss->variants[fo_variant_index(objective->dtype)](
        z, (const real *)objective->label + sample, (const real *)objective->weight + sample, 1, n_outputs,
        objective->shape, d);
    for (ptrdiff_t k = 0; k < n_outputs; ++k)
        fits &= FN(gradient_is_finite)(at, d[k]);
    if (loss - loss != 0 || !fits) {
        it->end = loss - loss != 0 ? FO_BAD_LOSS : FO_BAD_GRADIENT;
        return 0;
    }
    it->loss += loss;
    for (ptrdiff_t k = 0; k < n_outputs; ++k) {
        const real change = d[k] - before[k];
        if (it->refresh)
            before[k] = d[k];
        d[k] = change;
    }
    return 1;
}

FO_INLINE int FN(look_at)(fo_reduced *it, fo_row at, ptrdiff_t sample, const int wide)
{
    const fo_objective *objective = it->objective;
    const real *w = it->param,
               *intercept = objective->intercept ? w + objective->n_features * objective->n_outputs : NULL;
    FN(margin)(at, w, intercept, objective->n_outputs, it->margin, objective->sparse, wide);
    return FN(look_at_margin)(it, at, sample);
}

/* One step of the `width` parameters of a column, whose entry in the row is x. */
FO_INLINE void FN(step_column)(real *w, real *mean, real x, const real *change, const ptrdiff_t width, FN(constants) c)
{
    for (ptrdiff_t k = 0; k < width; ++k) {
        w[k] = FN(follow)(w[k], change[k] * x + mean[k], c);
        mean[k] += c.share * change[k] * x;
    }
}

/* The intercepts are in every sample, and not penalised. */
FO_INLINE void FN(step_intercepts)(fo_reduced *it, const real *change, FN(constants) c)
{
    const ptrdiff_t width = it->objective->n_outputs, at = it->objective->n_features * width;
    c.decay = 1;
    c.threshold = 0;
    if (it->objective->intercept)
        FN(step_column)((real *)it->param + at, (real *)it->mean + at, 1, change, width, c);
}

FO_INLINE FN(constants) FN(constants_of)(const fo_reduced *it)
{
    const FN(constants) c = {(real)(1.0 - it->rate * it->l2), (real)it->rate, (real)(it->rate * it->l1),
                             (real)(it->refresh ? 1.0 / (double)it->objective->n_samples : 0.0)};
    return c;
}

/* --- dense rows ------------------------------------------------------------------------------------------------- */

FO_INLINE void FN(step_dense)(fo_reduced *it, const real *x, const real *change, FN(constants) c)
{
    const ptrdiff_t width = it->objective->n_outputs, n = it->objective->n_features;
    real *FO_RESTRICT w = it->param, *FO_RESTRICT mean = it->mean;
    const real own = change[0];
    if (width == 1) {
        FO_SIMD
        for (ptrdiff_t j = 0; j < n; ++j) {
            const real g = own * x[j];
            w[j] = FN(follow)(w[j], g + mean[j], c);
            mean[j] += c.share * g;
        }
        return;
    }
    for (ptrdiff_t j = 0; j < n; ++j)
        FN(step_column)(w + j * width, mean + j * width, x[j], change, width, c);
}

static void FN(run_dense)(fo_reduced *it)
{
    const fo_objective *objective = it->objective;
    const FN(constants) c = FN(constants_of)(it);
    const real *change = (real *)it->margin + objective->n_outputs;
    for (ptrdiff_t i = 0; i < it->samples.n; ++i) {
        const ptrdiff_t sample = sample_of(it->samples, i);
        const fo_row at = dense_row(objective, sample, sizeof(real));
        fetch_after(objective, it->samples, i, 0, 0, sizeof(real));
        if (!FN(look_at)(it, at, sample, 0))
            return;
        FN(step_dense)(it, at.value, change, c);
        FN(step_intercepts)(it, change, c);
        ++it->n_done;
        if (fo_stop_wanted(it->lookout))
            break;
    }
}

/* --- CSR rows --------------------------------------------------------------------------------------------------- */

FO_INLINE double FN(one_step)(const fo_reduced *it, double w, double drift)
{
    const double threshold = it->rate * it->l1, moved = it->power[1] * w - drift;
    return moved > threshold  ? moved - threshold
         : moved < -threshold ? moved + threshold
         : moved != moved     ? moved
                              : 0.0;
}

/* w after k steps w = soft(a w - drift, threshold). As long as w keeps its side of zero a step is linear, and k of
 * them have a closed form; a parameter that comes to zero either stays there or goes on to the other side, once. */
static double FN(follow_to_zero)(const fo_reduced *it, double w, double drift, ptrdiff_t k)
{
    const double threshold = it->rate * it->l1;
    for (; it->power[1] < 0 && k > 0; --k)       /* rate l2 > 1: each step leaps over zero */
        w = FN(one_step)(it, w, drift);
    while (k > 0) {
        if (w == 0 && drift <= threshold && -drift <= threshold)
            return 0.0;
        const double side = w > 0 || (w == 0 && drift < 0) ? 1.0 : -1.0, pull = drift + side * threshold;
        ptrdiff_t low = 0, high = k;             /* on its side after `low` steps; after `high`? */
        if ((it->power[k] * w - pull * it->sum[k]) * side >= 0 || w != w)
            return it->power[k] * w - pull * it->sum[k];
        while (high - low > 1) {
            const ptrdiff_t middle = (low + high) / 2;
            if ((it->power[middle] * w - pull * it->sum[middle]) * side > 0)
                low = middle;
            else
                high = middle;
        }
        w = FN(one_step)(it, it->power[low] * w - pull * it->sum[low], drift);
        k -= high;
    }
    return w;
}

/* The steps of a column since it was read last, for which the mean was its gradient. */
FO_INLINE void FN(make_up)(fo_reduced *it, ptrdiff_t column, int32_t now, const ptrdiff_t width, const int has_l1)
{
    real *w = (real *)it->param + column * width;
    const real *mean = (const real *)it->mean + column * width;
    const ptrdiff_t k = now - it->done[column];
    if (k == 0)
        return;
    const double power = it->power[k], drift = it->rate * it->sum[k];
    for (ptrdiff_t j = 0; j < width; ++j)
        w[j] = (real)(has_l1 ? FN(follow_to_zero)(it, w[j], it->rate * mean[j], k) : power * w[j] - drift * mean[j]);
    it->done[column] = now;
}

/* Parameters, mean and steps of the columns of a row to come, which has been fetched itself by now. */
FO_INLINE void FN(fetch_columns)(const fo_reduced *it, ptrdiff_t i, const ptrdiff_t width, const int wide)
{
    const ptrdiff_t sample = sample_after(it->samples, i, COLUMNS_AHEAD);
    if (sample < 0)
        return;
    const fo_row at = sparse_row(it->objective, sample, wide, 0);
    for (ptrdiff_t j = 0; j < at.n; ++j) {
        const ptrdiff_t column = entry_of(at.column, wide, j);
        FETCH_TO_L2((const real *)it->param + column * width);
        FETCH_TO_L2((const real *)it->mean + column * width);
        FETCH_TO_L2(it->done + column);
    }
}

/* What SAGA and SVRG keep of a column of one output, side by side: one miss where three arrays would have three. With
 * P = power of the steps so far and G = sum of rate / P over them, the parameter is P (u - mean (G - reached)). */
typedef struct {
    real u, mean;
    double reached;
} FN(folded);

FO_INLINE FN(folded) *FN(folded_at)(const fo_reduced *it, ptrdiff_t column)
{
    _Static_assert(sizeof(FN(folded)) <= FO_FOLDED_BYTES, "raise FO_FOLDED_BYTES");
    return (FN(folded) *)((char *)it->folded + column * FO_FOLDED_BYTES);
}

FO_INLINE void FN(fold_all)(fo_reduced *it)
{
    for (ptrdiff_t j = 0; j < it->objective->n_features; ++j) {
        const FN(folded) start = {((const real *)it->param)[j], ((const real *)it->mean)[j], 0.0};
        *FN(folded_at)(it, j) = start;
    }
}

FO_INLINE void FN(unfold_all)(fo_reduced *it, double power, double reached)
{
    for (ptrdiff_t j = 0; j < it->objective->n_features; ++j) {
        const FN(folded) at = *FN(folded_at)(it, j);
        ((real *)it->param)[j] = (real)(power * (at.u - at.mean * (reached - at.reached)));
        ((real *)it->mean)[j] = at.mean;
    }
}

/* Columns of a row to come, which has been fetched itself by now, and its place in the table. */
FO_INLINE void FN(fetch_folded)(const fo_reduced *it, ptrdiff_t i, const int wide)
{
    const ptrdiff_t sample = sample_after(it->samples, i, COLUMNS_AHEAD);
    if (sample < 0)
        return;
    const fo_row at = sparse_row(it->objective, sample, wide, 0);
    FETCH_TO_L2((const real *)it->table + sample);
    for (ptrdiff_t j = 0; j < at.n; ++j)
        FETCH_TO_L2(FN(folded_at)(it, entry_of(at.column, wide, j)));
}

FO_INLINE double FN(folded_margin)(const fo_reduced *it, fo_row at, double reached, const int wide)
{
    const real *x = at.value;
    double a = 0.0, b = 0.0;                     /* two chains of additions side by side */
    for (ptrdiff_t j = 0; j < at.n; ++j) {
        const FN(folded) *column = FN(folded_at)(it, entry_of(at.column, wide, j));
        const double product = x[j] * (column->u - column->mean * (reached - column->reached));
        if (j % 2)
            b += product;
        else
            a += product;
    }
    return a + b;
}

FO_INLINE void FN(run_folded)(fo_reduced *it, const int wide)
{
    const fo_objective *objective = it->objective;
    const FN(constants) c = FN(constants_of)(it);
    const real *change = (real *)it->margin + 1, *intercept = (const real *)it->param + objective->n_features;
    double power = 1.0, reached = 0.0;
    FN(fold_all)(it);
    for (ptrdiff_t i = 0; i < it->samples.n; ++i) {
        const ptrdiff_t sample = sample_of(it->samples, i);
        const fo_row at = sparse_row(objective, sample, wide, sizeof(real));
        const double margin = power * FN(folded_margin)(it, at, reached, wide);
        *(real *)it->margin = (real)(margin + (objective->intercept ? *intercept : 0));
        fetch_after(objective, it->samples, i, 1, wide, sizeof(real));
        FN(fetch_folded)(it, i, wide);
        if (!FN(look_at_margin)(it, at, sample))
            break;
        power = it->power[i + 1];
        const double pace = it->rate / power, own = *change;    /* not per entry: its stores might alias */
        reached += pace;
        for (ptrdiff_t j = 0; j < at.n; ++j) {
            FN(folded) *column = FN(folded_at)(it, entry_of(at.column, wide, j));
            const double g = own * ((const real *)at.value)[j];
            column->u = (real)(column->u - column->mean * (reached - column->reached) - pace * g);
            column->mean += (real)(c.share * g);
            column->reached = reached;
        }
        FN(step_intercepts)(it, change, c);
        ++it->n_done;
        if (fo_stop_wanted(it->lookout))
            break;
    }
    FN(unfold_all)(it, power, reached);
}

FO_INLINE void FN(run_rows)(fo_reduced *it, const ptrdiff_t width, const int wide, const int has_l1)
{
    const fo_objective *objective = it->objective;
    const FN(constants) c = FN(constants_of)(it);
    const real *change = (real *)it->margin + width;
    for (ptrdiff_t i = 0; i < it->samples.n; ++i) {
        const ptrdiff_t sample = sample_of(it->samples, i);
        const fo_row at = sparse_row(objective, sample, wide, sizeof(real));
        fetch_after(objective, it->samples, i, 1, wide, sizeof(real));
        FN(fetch_columns)(it, i, width, wide);
        for (ptrdiff_t j = 0; j < at.n; ++j)
            FN(make_up)(it, entry_of(at.column, wide, j), (int32_t)i, width, has_l1);
        if (!FN(look_at)(it, at, sample, wide))
            break;
        for (ptrdiff_t j = 0; j < at.n; ++j) {
            const ptrdiff_t column = entry_of(at.column, wide, j);
            FN(step_column)((real *)it->param + column * width, (real *)it->mean + column * width,
                            ((const real *)at.value)[j], change, width, c);
            it->done[column] = (int32_t)i + 1;
        }
        FN(step_intercepts)(it, change, c);
        ++it->n_done;
        if (fo_stop_wanted(it->lookout))
            break;
    }
    for (ptrdiff_t column = 0; column < objective->n_features; ++column) {
        FN(make_up)(it, column, (int32_t)it->n_done, width, has_l1);
        it->done[column] = 0;
    }
}

static void FN(run_sparse)(fo_reduced *it)
{
    const ptrdiff_t width = it->objective->n_outputs;
    const int has_l1 = it->l1 != 0, wide = it->objective->wide;
    if (it->folded)
        wide ? FN(run_folded)(it, 1) : FN(run_folded)(it, 0);
    else if (width == 1 && !wide)
        has_l1 ? FN(run_rows)(it, 1, 0, 1) : FN(run_rows)(it, 1, 0, 0);
    else if (wide)
        FN(run_rows)(it, width, 1, has_l1);
    else
        FN(run_rows)(it, width, 0, has_l1);
}
