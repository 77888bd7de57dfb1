/* lagged_penalty_tmpl.h -- the closed forms of lagged_penalty.h; once per (instruction set, dtype).
 *
 * What the columns of a block have missed is looked up first, in a loop of loads; then it is made up for, in loops of
 * vectors. Blocks begin at multiples of BLOCK_COLUMNS, for any number of threads: bits may depend on them. */

/* A block of columns of one output, or of entries of one column, and what they have missed. */
typedef struct {
    real w[BLOCK_COLUMNS];
    real accumulator[BLOCK_COLUMNS];     /* FO_FLOW */
    double decay[BLOCK_COLUMNS];         /* FO_PROXIMAL: weight_scale when it was left, then how much is left of w */
    double penalty[BLOCK_COLUMNS]; /* cumulative_penalty then, then what came since; FO_FLOW: at last, the time */
} FN(block);

/* sign(w) max(0, scale |w| - threshold) */
FO_INLINE real FN(shrink)(real w, double scale, double threshold) { return (real)soft_threshold(scale * w, threshold); }

/* --- what was missed is made up for ------------------------------------------------------------------------------- */

static void FN(shrink_block)(const fo_penalty *it, ptrdiff_t n, ptrdiff_t now, FN(block) *block)
{
    const double scale = it->weight_scale[now], cumulative = it->cumulative_penalty[now];
    FO_SIMD
    for (ptrdiff_t k = 0; k < n; ++k) {
        const double decay = scale / block->decay[k], penalty = scale * (cumulative - block->penalty[k]);
        block->w[k] = FN(shrink)(block->w[k], MIN(decay, 1.0), MAX(penalty, 0.0));
    }
}

/* penalty_flow, with phi by its series up to u^(n_terms - 1), or by itself from LARGE_DECAY on if there is any of that.
 */
FO_INLINE real FN(flow)(real w, double s, double l2, double l1, const int n_terms, const int any_large)
{
    const double u = l2 * s;
    double phi = 1.0;
    for (int k = n_terms; k >= 2; --k)
        phi = 1.0 - phi * u * (1.0 / k);
    if (any_large)
        phi = u < LARGE_DECAY ? phi : (1.0 - exponential(-u)) / u;
    return (real)penalty_flow_of(w, s, l2, l1, phi);
}

FO_INLINE void FN(flow_all)(const fo_penalty *it, ptrdiff_t n, FN(block) *block, const int n_terms, const int any_large)
{
    const double l2 = it->l2, l1 = it->l1;
    FO_SIMD
    for (ptrdiff_t k = 0; k < n; ++k)
        block->w[k] = FN(flow)(block->w[k], block->penalty[k], l2, l1, n_terms, any_large);
}

FO_INLINE double FN(flow_time)(const fo_penalty *it, real accumulator, double rates)
{
    return rates / (__builtin_sqrt(accumulator + it->epsilon_root) + it->epsilon);
}

static void FN(flow_block)(const fo_penalty *it, ptrdiff_t n, ptrdiff_t now, FN(block) *block)
{
    const double cumulative = it->cumulative_penalty[now];
    int n_large = 0, n_small = 0;
    FO_SIMD
    for (ptrdiff_t k = 0; k < n; ++k)
        block->penalty[k] = FN(flow_time)(it, block->accumulator[k], MAX(cumulative - block->penalty[k], 0.0));
    for (ptrdiff_t k = 0; k < n; ++k) {
        n_large += !(it->l2 * block->penalty[k] < LARGE_DECAY);
        n_small += !(it->l2 * block->penalty[k] < TINY_DECAY);
    }
    if (n_large > 0)
        FN(flow_all)(it, n, block, TERMS, 1);
    else if (n_small > 0)
        FN(flow_all)(it, n, block, TERMS, 0);
    else
        FN(flow_all)(it, n, block, TERMS_OF_TINY, 0);
}

FO_INLINE void FN(make_up)(const fo_penalty *it, ptrdiff_t n, ptrdiff_t now, FN(block) *block)
{
    if (it->kind == FO_PROXIMAL)
        FN(shrink_block)(it, n, now, block);
    else
        FN(flow_block)(it, n, now, block);
}

/* --- and is looked up --------------------------------------------------------------------------------------------- */

/* The tables' entries of a column into the k-th place of a block. They may be those of a later step than the present
 * one, to which a lock-free worker has seen: then nothing was missed. */
FO_INLINE void FN(look_up)(const fo_penalty *it, ptrdiff_t column, FN(block) *block, ptrdiff_t k,
                           const fo_penalty_kind kind)
{
    const ptrdiff_t left = *left_of(it, column);
    block->penalty[k] = it->cumulative_penalty[left - 1];
    if (kind == FO_PROXIMAL)
        block->decay[k] = it->weight_scale[left];
}

/* What the update of a column will read. */
FO_INLINE void FN(prefetch_column)(const fo_penalty *it, ptrdiff_t column, const fo_penalty_kind kind)
{
    const ptrdiff_t entry = column * it->spacing;
    PREFETCH_TO_L2((const real *)it->param + entry);
    if (it->spacing > 1) /* a record: one line */
        return;
    PREFETCH_TO_L2(left_of(it, column));
    if (kind == FO_FLOW)
        PREFETCH_TO_L2((const real *)it->accumulator + entry);
}

/* n columns of one output: those of a list from the first-th on, or without a list all from `first` on. */
FO_INLINE void FN(update_block)(const fo_penalty *it, const void *columns, const int index64, ptrdiff_t first,
                                ptrdiff_t n, ptrdiff_t now, FN(block) *block, const fo_penalty_kind kind)
{
    const ptrdiff_t spacing = it->spacing;
    real *param = it->param;
    volatile ptrdiff_t at[BLOCK_COLUMNS]; /* volatile: no gather and scatter instructions, which take longer */
    for (ptrdiff_t k = 0; k < n; ++k) {
        const ptrdiff_t column = columns ? load_index(columns, index64, first + k) : first + k;
        at[k] = column;
        block->w[k] = param[column * spacing];
        if (kind == FO_FLOW)
            block->accumulator[k] = ((const real *)it->accumulator)[column * spacing];
        FN(look_up)(it, column, block, k, kind);
    }
    FN(make_up)(it, n, now, block);
    for (ptrdiff_t k = 0; k < n; ++k) {
        const ptrdiff_t column = at[k];
        param[column * spacing] = block->w[k];
        mark_left(it, column, now);
    }
}

/* A column of several outputs. */
FO_INLINE void FN(update_row)(const fo_penalty *it, ptrdiff_t column, ptrdiff_t now)
{
    const ptrdiff_t first = column * it->spacing, stop = first + it->width;
    FN(block) block;
    for (ptrdiff_t entry = first; entry < stop; entry += BLOCK_COLUMNS) {
        const ptrdiff_t n = stop - entry < BLOCK_COLUMNS ? stop - entry : BLOCK_COLUMNS;
        real *w = (real *)it->param + entry;
        for (ptrdiff_t k = 0; k < n; ++k) {
            block.w[k] = w[k];
            block.accumulator[k] = it->accumulator ? ((const real *)it->accumulator)[entry + k] : 0;
            FN(look_up)(it, column, &block, k, FO_PROXIMAL);
        }
        FN(make_up)(it, n, now, &block);
        memcpy(w, block.w, (size_t)n * sizeof(real));
    }
    mark_left(it, column, now);
}

/* --- lists of columns, and all ------------------------------------------------------------------------------------ */

FO_INLINE void FN(update_list)(const fo_penalty *it, const void *columns, ptrdiff_t n, ptrdiff_t now, real *gathered,
                               const int index64, const fo_penalty_kind kind)
{
    FN(block) block;
    for (ptrdiff_t first = 0; first < n; first += BLOCK_COLUMNS) {
        const ptrdiff_t count = n - first < BLOCK_COLUMNS ? n - first : BLOCK_COLUMNS, next = first + count;
        const ptrdiff_t stop = next + BLOCK_COLUMNS < n ? next + BLOCK_COLUMNS : n;
        for (ptrdiff_t j = first == 0 ? 0 : next; j < stop; ++j)
            FN(prefetch_column)(it, load_index(columns, index64, j), kind);
        FN(update_block)(it, columns, index64, first, count, now, &block, kind);
        memcpy(gathered + first, block.w, (size_t)count * sizeof(real));
    }
}

FO_INLINE void FN(update_rows)(const fo_penalty *it, const void *columns, int index64, ptrdiff_t n, ptrdiff_t now,
                               real *gathered)
{
    for (ptrdiff_t j = 0; j < n; ++j) {
        const ptrdiff_t column = load_index(columns, index64, j), width = it->width;
        FN(update_row)(it, column, now);
        memcpy(gathered + j * width, (const real *)it->param + column * it->spacing, (size_t)width * sizeof(real));
    }
}

static void FN(update)(const fo_penalty *it, const void *columns, int index64, ptrdiff_t n, int64_t t, void *gathered)
{
    const ptrdiff_t now = (ptrdiff_t)(t - it->start);
    if (it->width > 1)
        FN(update_rows)(it, columns, index64, n, now, gathered);
    else if (index64 && it->kind == FO_FLOW)
        FN(update_list)(it, columns, n, now, gathered, 1, FO_FLOW);
    else if (index64)
        FN(update_list)(it, columns, n, now, gathered, 1, FO_PROXIMAL);
    else if (it->kind == FO_FLOW)
        FN(update_list)(it, columns, n, now, gathered, 0, FO_FLOW);
    else
        FN(update_list)(it, columns, n, now, gathered, 0, FO_PROXIMAL);
}

static void FN(flush)(const fo_penalty *it, ptrdiff_t lo, ptrdiff_t hi, int64_t t)
{
    const ptrdiff_t now = (ptrdiff_t)(t - it->start), first = lo * BLOCK_COLUMNS;
    const ptrdiff_t stop = hi * BLOCK_COLUMNS < it->n_columns ? hi * BLOCK_COLUMNS : it->n_columns;
    FN(block) block;
    for (ptrdiff_t column = first; column < stop && it->width > 1; ++column)
        FN(update_row)(it, column, now);
    for (ptrdiff_t column = first; column < stop && it->width == 1; column += BLOCK_COLUMNS) {
        const ptrdiff_t n = stop - column < BLOCK_COLUMNS ? stop - column : BLOCK_COLUMNS;
        if (it->kind == FO_FLOW)
            FN(update_block)(it, NULL, 0, column, n, now, &block, FO_FLOW);
        else
            FN(update_block)(it, NULL, 0, column, n, now, &block, FO_PROXIMAL);
    }
    for (ptrdiff_t column = first; column < stop; ++column)
        *left_of(it, column) = 0;
}

FO_INLINE real FN(slope)(real w, double l2, double l1) { return (real)(l2 * w + (w > 0 ? l1 : w < 0 ? -l1 : 0)); }

/* Steps that some columns of a list have missed, this one included. */
FO_INLINE void FN(count_missed)(const fo_penalty *it, const void *columns, int index64, ptrdiff_t first, ptrdiff_t n,
                                ptrdiff_t now, double *missed)
{
    for (ptrdiff_t k = 0; k < n; ++k) {
        const ptrdiff_t steps = now + 1 - *left_of(it, load_index(columns, index64, first + k));
        missed[k] = (double)(steps > 0 ? steps : 0); /* a lock-free worker may be further on */
    }
}

static void FN(add_gradient)(const fo_penalty *it, const void *columns, int index64, ptrdiff_t n, int64_t t,
                             const void *gathered, void *gradient)
{
    const real *w = gathered;
    const double l2 = it->l2, l1 = it->l1;
    const ptrdiff_t width = it->width;
    real *FO_RESTRICT g = gradient;
    double missed[BLOCK_COLUMNS];
    for (ptrdiff_t first = 0; first < n; first += BLOCK_COLUMNS) {
        const ptrdiff_t count = n - first < BLOCK_COLUMNS ? n - first : BLOCK_COLUMNS;
        FN(count_missed)(it, columns, index64, first, count, (ptrdiff_t)(t - it->start), missed);
        FO_SIMD
        for (ptrdiff_t k = 0; k < (width == 1 ? count : 0); ++k)
            g[first + k] += FN(slope)(w[first + k], missed[k] * l2, missed[k] * l1);
        for (ptrdiff_t k = 0; k < (width == 1 ? 0 : count); ++k) {
            const ptrdiff_t row = (first + k) * width;
            FO_SIMD
            for (ptrdiff_t j = 0; j < width; ++j)
                g[row + j] += FN(slope)(w[row + j], missed[k] * l2, missed[k] * l1);
        }
    }
}

static void FN(soft_threshold_all)(const fo_penalty *it, ptrdiff_t lo, ptrdiff_t hi, double rate)
{
    const real *accumulator = it->accumulator;
    real *w = it->param;
    for (ptrdiff_t j = lo; j < hi; ++j)
        w[j] = FN(shrink)(w[j], 1.0, it->l1 * (it->kind == FO_FLOW ? FN(flow_time)(it, accumulator[j], rate) : rate));
}

static const penalty_kernels FN(kernels) = {FN(update), FN(flush), FN(add_gradient), FN(soft_threshold_all)};
