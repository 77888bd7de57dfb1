/* scaled_sgd_tmpl.h -- the loops of scaled_sgd.h; once per (instruction set, dtype).
 *
 * Weights are loaded and stored one by one, and worked on in vectors between. */

FO_INLINE double FN(load)(const void *v, ptrdiff_t entry, const int has_l1)
{
    return has_l1 ? ((const double *)v)[entry] : (double)((const real *)v)[entry];
}

FO_INLINE void FN(store)(void *v, ptrdiff_t entry, double value, const int has_l1)
{
    if (has_l1)
        ((double *)v)[entry] = value;
    else
        ((real *)v)[entry] = (real)value;
}

/* --- the weights of a batch --------------------------------------------------------------------------------------- */

FO_INLINE void FN(bring_back)(const double *v, ptrdiff_t n, scaling c, real *FO_RESTRICT w)
{
    FO_SIMD
    for (ptrdiff_t k = 0; k < n; ++k)
        w[k] = (real)from_scaled(v[k], c.scale, c.penalty);
}

/* Entries of single columns. */
FO_INLINE void FN(gather_entries)(const fo_minibatch *it, scaling c, const int has_l1, const fo_format format)
{
    const fo_touched *touched = it->touched;
    real *w = it->worker->gathered;
    double block[BLOCK_ENTRIES];
    for (ptrdiff_t first = 0; first < touched->n; first += BLOCK_ENTRIES) {
        const ptrdiff_t n = MIN(touched->n - first, BLOCK_ENTRIES);
        for (ptrdiff_t k = 0; k < n; ++k)
            block[k] = FN(load)(c.v, load_index(touched->columns, format == FO_CSR64, first + k), has_l1);
        FN(bring_back)(block, n, c, w + first);
    }
}

/* Rows of several entries. */
FO_INLINE void FN(gather_rows)(const fo_minibatch *it, scaling c, const int has_l1, const fo_format format)
{
    const ptrdiff_t width = it->objective->n_outputs;
    for (ptrdiff_t j = 0; j < it->touched->n; ++j) {
        const ptrdiff_t row = load_index(it->touched->columns, format == FO_CSR64, j) * width;
        real *FO_RESTRICT w = (real *)it->worker->gathered + j * width;
        FO_SIMD
        for (ptrdiff_t k = 0; k < width; ++k)
            w[k] = (real)from_scaled(FN(load)(c.v, row + k, has_l1), c.scale, c.penalty);
    }
}

FO_INLINE void FN(gather_touched)(const fo_minibatch *it, scaling c, const int has_l1, const fo_format format)
{
    if (it->objective->n_outputs == 1)
        FN(gather_entries)(it, c, has_l1, format);
    else
        FN(gather_rows)(it, c, has_l1, format);
}

static void FN(gather)(const fo_minibatch *it, scaling c)
{
    if (it->segment->penalty->l1 != 0)
        FO_BY_CSR_FORMAT(it->objective, FN(gather_touched), it, c, 1);
    else
        FO_BY_CSR_FORMAT(it->objective, FN(gather_touched), it, c, 0);
}

/* --- its step ------------------------------------------------------------------------------------------------------
 */

FO_INLINE double FN(stepped)(double v, real g, scaling c)
{
    return to_scaled(from_scaled(v, c.scale, c.penalty) - c.rate * g, c.one_over_next, c.penalty);
}

FO_INLINE void FN(step_entries)(const fo_minibatch *it, scaling c, ptrdiff_t lo, ptrdiff_t hi, const int has_l1,
                                const fo_format format)
{
    const void *columns = it->touched->columns;
    const real *g = it->worker->gradient;
    double block[BLOCK_ENTRIES];
    for (ptrdiff_t first = lo; first < hi; first += BLOCK_ENTRIES) {
        const ptrdiff_t n = MIN(hi - first, BLOCK_ENTRIES);
        for (ptrdiff_t k = 0; k < n; ++k)
            block[k] = FN(load)(c.v, load_index(columns, format == FO_CSR64, first + k), has_l1);
        FO_SIMD
        for (ptrdiff_t k = 0; k < n; ++k)
            block[k] = FN(stepped)(block[k], g[first + k], c);
        for (ptrdiff_t k = 0; k < n; ++k)
            FN(store)(c.v, load_index(columns, format == FO_CSR64, first + k), block[k], has_l1);
    }
}

FO_INLINE void FN(step_rows)(const fo_minibatch *it, scaling c, ptrdiff_t lo, ptrdiff_t hi, const int has_l1,
                             const fo_format format)
{
    const ptrdiff_t width = it->objective->n_outputs;
    for (ptrdiff_t j = lo; j < hi; ++j) {
        const ptrdiff_t row = load_index(it->touched->columns, format == FO_CSR64, j) * width;
        const real *g = (const real *)it->worker->gradient + j * width;
        FO_SIMD
        for (ptrdiff_t k = 0; k < width; ++k)
            FN(store)(c.v, row + k, FN(stepped)(FN(load)(c.v, row + k, has_l1), g[k], c), has_l1);
    }
}

FO_INLINE void FN(step_touched)(const fo_minibatch *it, scaling c, ptrdiff_t lo, ptrdiff_t hi, const int has_l1,
                                const fo_format format)
{
    if (it->objective->n_outputs == 1)
        FN(step_entries)(it, c, lo, hi, has_l1, format);
    else
        FN(step_rows)(it, c, lo, hi, has_l1, format);
}

static void FN(step)(const fo_minibatch *it, scaling c, ptrdiff_t lo, ptrdiff_t hi)
{
    if (it->segment->penalty->l1 != 0)
        FO_BY_CSR_FORMAT(it->objective, FN(step_touched), it, c, lo, hi, 1);
    else
        FO_BY_CSR_FORMAT(it->objective, FN(step_touched), it, c, lo, hi, 0);
}

/* The intercepts, which are not penalised and stay as they are. */
static void FN(step_intercepts)(const fo_minibatch *it, scaling c)
{
    const ptrdiff_t width = it->objective->n_outputs;
    real *intercept = (real *)it->worker->array.param + weights_size(it->objective);
    const real *g = (const real *)it->worker->gradient + it->touched->n * width;
    for (ptrdiff_t k = 0; k < width; ++k)
        intercept[k] -= (real)(c.rate * g[k]);
}

/* --- the flush ---------------------------------------------------------------------------------------------------- */

static void FN(flush)(void *param, ptrdiff_t lo, ptrdiff_t hi, double scale)
{
    real *p = param;
    for (ptrdiff_t j = lo; j < hi; ++j)
        p[j] = (real)(scale * p[j]);
}

static void FN(flush_l1)(const double *scaled, void *param, ptrdiff_t lo, ptrdiff_t hi, double scale, double penalty)
{
    real *p = param;
    for (ptrdiff_t j = lo; j < hi; ++j)
        p[j] = (real)from_scaled(scaled[j], scale, penalty);
}

static const scaled_kernels FN(kernels) = {FN(gather), FN(step), FN(step_intercepts), FN(flush), FN(flush_l1)};
