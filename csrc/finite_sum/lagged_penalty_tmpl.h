/* penalty_kernels.h -- the closed forms of penalty.h; once per (instruction set, dtype) by penalty.c. */

/* sign(w) max(0, scale |w| - threshold) */
FO_INLINE real FN(soft)(real w, double scale, double threshold)
{
    const double size = scale * ABS(w) - threshold;
    return size > 0 ? (real)(w > 0 ? size : -size) : w != w ? w : 0;
}

/* Along w' = -l2 w - l1 sign(w) for a time s: sign(w) max(0, |w| exp(-u) - l1 s phi(u)), u = l2 s, where
 * phi(u) = (1 - exp(-u)) / u keeps its precision for small u. */
FO_INLINE real FN(flow)(real w, double s, double l2, double l1)
{
    const double u = l2 * s;
    double phi;
    if (u < 0.25) {
        phi = 1.0;
        for (int k = 11; k >= 2; --k)
            phi = 1.0 - phi * u / k;
    } else
        phi = (1.0 - exponential(-u)) / u;
    return FN(soft)(w, 1.0 - u * phi, l1 * s * phi);
}

FO_INLINE double FN(flow_time)(const fo_penalty *it, ptrdiff_t entry, double rates)
{
    const real accumulator = ((const real *)it->accumulator)[entry];
    return rates / (__builtin_sqrt(accumulator + it->epsilon_root) + it->epsilon);
}

/* The tables' entry for a column is one more than the step after which it was left; 0 if not in this stretch. */
FO_INLINE void FN(catch_up_column)(const fo_penalty *it, ptrdiff_t column, ptrdiff_t now)
{
    const int64_t entry = it->last[column] - it->start + 1;
    const ptrdiff_t left = entry < 0 ? 0 : (ptrdiff_t)entry, width = it->width;
    if (left > now)              /* a lock-free sampler that is further on has seen to it */
        return;
    const double pull = it->pull[now] - (left > 0 ? it->pull[left - 1] : 0.0);
    real *w = (real *)it->param + column * width;
    if (it->kind == FO_SHRINK)
        for (ptrdiff_t k = 0; k < width; ++k)
            w[k] = FN(soft)(w[k], it->decay[now] / it->decay[left], it->decay[now] * pull);
    else
        for (ptrdiff_t k = 0; k < width; ++k)
            w[k] = FN(flow)(w[k], FN(flow_time)(it, column * width + k, pull), it->l2, it->l1);
}

static void FN(catch_up)(const fo_penalty *it, const void *list, int wide, ptrdiff_t lo, ptrdiff_t hi, int64_t t)
{
    const ptrdiff_t now = (ptrdiff_t)(t - it->start);
    for (ptrdiff_t j = lo; j < hi; ++j)
        FN(catch_up_column)(it, list ? entry_of(list, wide, j) : j, now);
}

static void FN(add_delayed)(const fo_penalty *it, const void *list, int wide, ptrdiff_t n, int64_t t, void *gradient)
{
    const real *w = it->param;
    real *g = gradient;
    for (ptrdiff_t j = 0; j < n; ++j) {
        const ptrdiff_t column = entry_of(list, wide, j);
        const int64_t missed = t - it->last[column];   /* negative where a lock-free sampler is further on */
        const double steps = missed > 0 ? (double)missed : 0.0, l2 = steps * it->l2, l1 = steps * it->l1;
        for (ptrdiff_t k = 0; k < it->width; ++k) {
            const real p = w[column * it->width + k];
            g[j * it->width + k] += (real)(l2 * p + (p > 0 ? l1 : p < 0 ? -l1 : 0));
        }
    }
}

static void FN(threshold_all)(const fo_penalty *it, ptrdiff_t lo, ptrdiff_t hi, double rate)
{
    real *w = it->param;
    for (ptrdiff_t j = lo; j < hi; ++j) {
        const double time = it->kind == FO_FLOW ? FN(flow_time)(it, j, rate) : rate;
        w[j] = FN(soft)(w[j], 1.0, time * it->l1);
    }
}

static const penalty_kernels FN(kernels) = {FN(catch_up), FN(add_delayed), FN(threshold_all)};
