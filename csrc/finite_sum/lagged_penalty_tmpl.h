/* lagged_penalty_tmpl.h -- the closed forms of lagged_penalty.h; once per (instruction set, dtype). */

/* sign(w) max(0, scale |w| - threshold) */
FO_INLINE real FN(shrink)(real w, double scale, double threshold) { return (real)soft_threshold(scale * w, threshold); }

FO_INLINE real FN(flow)(real w, double s, double l2, double l1) { return (real)penalty_flow(w, s, l2, l1); }

FO_INLINE double FN(flow_time)(const fo_penalty *it, ptrdiff_t entry, double rates)
{
    const real accumulator = ((const real *)it->accumulator)[entry];
    return rates / (__builtin_sqrt(accumulator + it->epsilon_root) + it->epsilon);
}

/* The tables' entry for a column is one more than the step after which it was left; 0 if not since they begin. */
FO_INLINE void FN(update_column)(const fo_penalty *it, ptrdiff_t column, ptrdiff_t now)
{
    const int64_t entry = it->last_update[column] - it->start + 1;
    const ptrdiff_t left = entry < 0 ? 0 : (ptrdiff_t)entry, width = it->width;
    if (left > now)              /* a lock-free worker that is further on has seen to it */
        return;
    const double penalty = it->cumulative_penalty[now] - (left > 0 ? it->cumulative_penalty[left - 1] : 0.0);
    real *w = (real *)it->param + column * width;
    if (it->kind == FO_PROXIMAL)
        for (ptrdiff_t k = 0; k < width; ++k)
            w[k] = FN(shrink)(w[k], it->weight_scale[now] / it->weight_scale[left], it->weight_scale[now] * penalty);
    else
        for (ptrdiff_t k = 0; k < width; ++k)
            w[k] = FN(flow)(w[k], FN(flow_time)(it, column * width + k, penalty), it->l2, it->l1);
}

static void FN(update)(const fo_penalty *it, const void *columns, int index64, ptrdiff_t lo, ptrdiff_t hi, int64_t t)
{
    const ptrdiff_t now = (ptrdiff_t)(t - it->start);
    for (ptrdiff_t j = lo; j < hi; ++j)
        FN(update_column)(it, columns ? load_index(columns, index64, j) : j, now);
}

static void FN(add_gradient)(const fo_penalty *it, const void *columns, int index64, ptrdiff_t n, int64_t t,
                             void *gradient)
{
    const real *w = it->param;
    real *g = gradient;
    for (ptrdiff_t j = 0; j < n; ++j) {
        const ptrdiff_t column = load_index(columns, index64, j);
        const int64_t missed = t - it->last_update[column];   /* negative where a lock-free worker is further on */
        const double steps = missed > 0 ? (double)missed : 0.0, l2 = steps * it->l2, l1 = steps * it->l1;
        for (ptrdiff_t k = 0; k < it->width; ++k) {
            const real p = w[column * it->width + k];
            g[j * it->width + k] += (real)(l2 * p + (p > 0 ? l1 : p < 0 ? -l1 : 0));
        }
    }
}

static void FN(soft_threshold_all)(const fo_penalty *it, ptrdiff_t lo, ptrdiff_t hi, double rate)
{
    real *w = it->param;
    for (ptrdiff_t j = lo; j < hi; ++j) {
        const double time = it->kind == FO_FLOW ? FN(flow_time)(it, j, rate) : rate;
        w[j] = FN(shrink)(w[j], 1.0, time * it->l1);
    }
}

static const penalty_kernels FN(kernels) = {FN(update), FN(add_gradient), FN(soft_threshold_all)};
