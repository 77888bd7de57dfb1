/* descend_kernels.h -- the loop of descend.h; once per (instruction set, dtype) by descend.c. */
#include "finite_sum/margins_tmpl.h"

FO_INLINE real FN(unfold)(real folded, double decay, double pull)
{
    const double size = ABS(folded) - pull;
    return size > 0 ? (real)(decay * (folded > 0 ? size : -size)) : folded != folded ? folded : 0;
}

FO_INLINE real FN(fold)(real w, double decay, double pull)
{
    const double size = ABS(w) / decay + pull;
    return w == 0 ? 0 : (real)(w > 0 ? size : -size);
}

/* Margin with l1, where every parameter has to be unfolded. */
FO_INLINE double FN(folded_dot)(fo_row at, const real *p, double decay, double pull, const int wide)
{
    const real *x = at.value;
    double sum = 0.0;
    for (ptrdiff_t j = 0; j < at.n; ++j)
        sum += (double)x[j] * FN(unfold)(p[entry_of(at.column, wide, j)], decay, pull);
    return sum;
}

FO_INLINE double FN(row_dot)(fo_row at, const real *p, double decay, double pull, const int has_l1, const int sparse,
                             const int wide)
{
    if (has_l1)
        return FN(folded_dot)(at, p, decay, pull, wide);
    return decay * (sparse ? FN(sparse_dot)(at.value, at.column, at.n, p, wide) : FN(dense_dot)(at.value, p, at.n));
}

/* One step on the columns of a row; `change` is the learning rate times the derivative. Two entries of a row are never
 * in the same column. */
FO_INLINE void FN(descend_row)(fo_row at, real *FO_RESTRICT p, double change, const double *decay, double pull,
                               const int has_l1, const int sparse, const int wide)
{
    const real *x = at.value;
    const real plain = (real)(change / decay[1]);
    if (!sparse) {
        FO_SIMD
        for (ptrdiff_t j = 0; j < at.n; ++j)
            p[j] -= plain * x[j];
        return;
    }
    for (ptrdiff_t j = 0; j < at.n; ++j) {
        real *place = p + entry_of(at.column, wide, j);
        if (has_l1) {
            const double w = FN(unfold)(*place, decay[0], pull);
            *place = FN(fold)((real)(w * (decay[1] / decay[0]) - change * x[j]), decay[1], pull);
        } else
            *place -= plain * x[j];
    }
}

/* Rows to come are fetched while the loss is computed, a long chain of few instructions: a fifth faster than before
 * the margin, whose loads would have to wait for theirs. */
FO_INLINE void FN(descend_rows)(const fo_stretch *stretch, fo_worker *worker, ptrdiff_t first, const int has_l1,
                                const int sparse, const int wide)
{
    const fo_objective *it = stretch->objective;
    const fo_batch samples = stretch->samples;
    fo_loss_kernel *loss_of = it->loss->variants[fo_variant_index(it->dtype)];
    const ptrdiff_t stride = stretch->n_workers;
    real *p = worker->array.param, *intercept = it->intercept ? p + it->n_features : NULL;
    for (ptrdiff_t i = first; i < samples.n; i += stride) {
        const ptrdiff_t sample = sample_of(samples, i);
        const fo_row at = row_of(it, sample, sparse, wide, sizeof(real));
        const double *decay = stretch->penalty->decay + i, pull = has_l1 ? stretch->penalty->pull[i] : 0.0;
        const real z = (real)(FN(row_dot)(at, p, decay[0], pull, has_l1, sparse, wide) + (intercept ? *intercept : 0));
        real d;
        fetch_after(it, samples, i, sparse, wide, sizeof(real));
        const double loss = loss_of(&z, (const real *)it->label + sample, (const real *)it->weight + sample, 1, 1,
                                    it->shape, &d);
        if (loss - loss != 0 || !FN(gradient_is_finite)(at, d)) {
            worker->end = loss - loss != 0 ? FO_BAD_LOSS : FO_BAD_GRADIENT;
            return;
        }
        FN(descend_row)(at, p, stretch->rate[i + 1] * d, decay, pull, has_l1, sparse, wide);
        if (intercept)
            *intercept -= (real)(stretch->rate[i + 1] * d);
        worker->loss += loss;
        worker->squared_norm = d;
        ++worker->n_done;
        if (fo_stop_wanted(stretch->lookout))
            return;
    }
}

/* Derivative and row of the last step -> the squared norm of its gradient. */
static void FN(note_norm)(const fo_stretch *stretch, fo_worker *worker, ptrdiff_t first)
{
    const fo_objective *it = stretch->objective;
    const ptrdiff_t last = first + (worker->n_done - 1) * stretch->n_workers;
    const fo_row at = row_of(it, sample_of(stretch->samples, last), it->sparse, it->wide, sizeof(real));
    double squares = it->intercept;
    for (ptrdiff_t j = 0; j < at.n; ++j)
        squares += (double)((const real *)at.value)[j] * ((const real *)at.value)[j];
    worker->squared_norm *= worker->squared_norm * squares;
}

/* l1 comes with sparse rows alone. */
static void FN(descend)(const fo_stretch *stretch, fo_worker *worker, ptrdiff_t first)
{
    const int wide = stretch->objective->wide;
    if (stretch->penalty->l1 != 0)
        wide ? FN(descend_rows)(stretch, worker, first, 1, 1, 1) : FN(descend_rows)(stretch, worker, first, 1, 1, 0);
    else
        FO_BY_LAYOUT(stretch->objective, FN(descend_rows), stretch, worker, first, 0);
    if (worker->n_done > 0)
        FN(note_norm)(stretch, worker, first);
}

static void FN(settle_descent)(void *param, ptrdiff_t lo, ptrdiff_t hi, double decay, double pull)
{
    real *p = param;
    for (ptrdiff_t j = lo; j < hi; ++j)
        p[j] = FN(unfold)(p[j], decay, pull);
}

static const descent_kernels FN(kernels) = {FN(descend), FN(settle_descent)};
