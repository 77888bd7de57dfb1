/* scaled_weights_tmpl.h -- SAGA and SVRG on scaled weights, for CSR samples of one output without l1, which need no
 * lagged updates. A part of saga_svrg_tmpl.h. */

/* What SAGA and SVRG keep of a column of one output, side by side: one miss where three arrays would have three. With
 * P = weight_scale of the steps so far and G = sum of rate / P over them, the parameter is P (base - mean G): that
 * holds however long ago the column was touched. A step that moves the mean by share g, and so takes G to G + rate / P,
 * adds (share G - rate / P) g to the base, with the new G. In double: base and mean G may be larger than their
 * difference, by how far the mean moves a parameter between two flushes. */
typedef struct {
    double base, mean;           /* mean: its entry of the mean gradient */
} FN(scaled_column);

FO_INLINE FN(scaled_column) *FN(scaled_at)(const fo_saga_svrg *it, ptrdiff_t column)
{
    _Static_assert(sizeof(FN(scaled_column)) <= FO_SCALED_COLUMN_BYTES, "raise FO_SCALED_COLUMN_BYTES");
    return (FN(scaled_column) *)((char *)it->scaled_columns + column * FO_SCALED_COLUMN_BYTES);
}

FO_INLINE void FN(scale_all)(fo_saga_svrg *it)
{
    for (ptrdiff_t j = 0; j < it->objective->n_features; ++j) {
        const FN(scaled_column) start = {((const real *)it->param)[j], ((const real *)it->mean_gradient)[j]};
        *FN(scaled_at)(it, j) = start;
    }
}

FO_INLINE void FN(flush_scaled)(fo_saga_svrg *it)
{
    const double scale = it->weight_scale[it->n_lagged], reached = it->reached;
    for (ptrdiff_t j = 0; j < it->objective->n_features; ++j) {
        const FN(scaled_column) at = *FN(scaled_at)(it, j);
        ((real *)it->param)[j] = (real)(scale * (at.base - at.mean * reached));
        ((real *)it->mean_gradient)[j] = (real)at.mean;
    }
}

/* Columns of a sample to come, which has been fetched itself by now, and its place in the gradient memory. */
FO_INLINE void FN(prefetch_scaled)(const fo_saga_svrg *it, ptrdiff_t i, const fo_format format)
{
    const ptrdiff_t sample = sample_after(it->samples, i, COLUMNS_AHEAD);
    if (sample < 0)
        return;
    const fo_sample at = csr_sample(it->objective, sample, format, 0);
    PREFETCH_TO_L2((const real *)it->gradient_memory + sample);
    for (ptrdiff_t j = 0; j < at.n; ++j)
        PREFETCH_TO_L2(FN(scaled_at)(it, column_of(at, j, format)));
}

FO_INLINE double FN(scaled_dot)(const fo_saga_svrg *it, fo_sample at, double reached, const fo_format format)
{
    const real *x = at.data;
    double base = 0.0, mean = 0.0;
    for (ptrdiff_t j = 0; j < at.n; ++j) {
        const FN(scaled_column) *column = FN(scaled_at)(it, column_of(at, j, format));
        base += x[j] * column->base;
        mean += x[j] * column->mean;
    }
    return base - mean * reached;
}

FO_INLINE void FN(run_scaled)(fo_saga_svrg *it, const fo_format format)
{
    const fo_objective *objective = it->objective;
    const FN(scalars) c = FN(scalars_of)(it);
    const double share = it->updates_memory ? 1.0 / (double)objective->n_samples : 0.0;
    const real *change = (real *)it->workspace + 1, *intercept = (const real *)it->param + objective->n_features;
    double scale = it->weight_scale[it->n_lagged], reached = it->n_lagged > 0 ? it->reached : 0.0;
    if (it->n_lagged == 0)
        FN(scale_all)(it);
    for (ptrdiff_t i = 0; i < it->samples.n; ++i) {
        const ptrdiff_t sample = sample_of(it->samples, i);
        const fo_sample at = csr_sample(objective, sample, format, sizeof(real));
        const double margin = scale * FN(scaled_dot)(it, at, reached, format);
        *(real *)it->workspace = (real)(margin + (objective->intercept ? *intercept : 0));
        prefetch_sample(objective, it->samples, i, format, sizeof(real));
        FN(prefetch_scaled)(it, i, format);
        if (!FN(derive)(it, at, sample))
            break;
        scale = it->weight_scale[it->n_lagged + i + 1];
        const double pace = it->learning_rate / scale, own = *change;   /* not per entry: its stores might alias */
        reached += pace;
        const double to_base = share * reached - pace;
        for (ptrdiff_t j = 0; j < at.n; ++j) {
            FN(scaled_column) *column = FN(scaled_at)(it, column_of(at, j, format));
            const double g = own * ((const real *)at.data)[j];
            column->base += to_base * g;
            column->mean += share * g;
        }
        FN(step_intercepts)(it, change, c);
        ++it->n_done;
        if (fo_interrupted(it->poll))
            break;
    }
    it->reached = reached;
}
