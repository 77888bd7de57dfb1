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
FO_INLINE void FN(look_up)(const fo_penalty *it, ptrdiff_t position, FN(block) *block, ptrdiff_t k,
                           const fo_penalty_kind kind)
{
    const ptrdiff_t left = *left_of(it, position);
    block->penalty[k] = it->cumulative_penalty[left - 1];
    if (kind == FO_PROXIMAL)
        block->decay[k] = it->weight_scale[left];
}

/* What will be read of a column of one output. */
FO_INLINE void FN(prefetch_column)(const fo_penalty *it, ptrdiff_t position, const fo_penalty_kind kind)
{
    PREFETCH_TO_L2((const real *)it->param + position);
    if (it->spacing > 1) /* a record: one line */
        return;
    PREFETCH_TO_L2(it->left_after + position * it->left_spacing);
    if (kind == FO_FLOW)
        PREFETCH_TO_L2((const real *)it->accumulator + position);
}

/* n columns of one output: those of a list from the first-th on, or without a list all from `first` on. Those of the
 * next block are fetched one by one with these: many at a time would wait for each other. */
FO_INLINE void FN(update_block)(const fo_penalty *it, fo_columns columns, const int index64, ptrdiff_t first,
                                ptrdiff_t n, ptrdiff_t now, FN(block) *block, const fo_penalty_kind kind)
{
    const real *accumulator = it->accumulator;
    real *param = it->param;
    for (ptrdiff_t k = 0; k < n; ++k) {
        const ptrdiff_t position = position_among(it, columns, index64, first + k);
        if (columns.positions && first + k + BLOCK_COLUMNS < columns.n)
            FN(prefetch_column)(it, position_of(columns, index64, first + k + BLOCK_COLUMNS), kind);
        block->w[k] = param[position];
        if (kind == FO_FLOW)
            block->accumulator[k] = accumulator[position];
        FN(look_up)(it, position, block, k, kind);
    }
    FN(make_up)(it, n, now, block);
    for (ptrdiff_t k = 0; k < n; ++k) {
        const ptrdiff_t position = position_among(it, columns, index64, first + k);
        param[position] = block->w[k];
        mark_left(it, position, now);
    }
}

/* A column of several outputs. */
FO_INLINE void FN(update_row)(const fo_penalty *it, ptrdiff_t position, ptrdiff_t now)
{
    const ptrdiff_t first = position * it->width, stop = first + it->width;
    FN(block) block;
    for (ptrdiff_t entry = first; entry < stop; entry += BLOCK_COLUMNS) {
        const ptrdiff_t n = stop - entry < BLOCK_COLUMNS ? stop - entry : BLOCK_COLUMNS;
        real *w = (real *)it->param + entry;
        for (ptrdiff_t k = 0; k < n; ++k) {
            block.w[k] = w[k];
            block.accumulator[k] = it->accumulator ? ((const real *)it->accumulator)[entry + k] : 0;
            FN(look_up)(it, position, &block, k, FO_PROXIMAL);
        }
        FN(make_up)(it, n, now, &block);
        memcpy(w, block.w, (size_t)n * sizeof(real));
    }
    mark_left(it, position, now);
}

/* --- lists of columns, and all ------------------------------------------------------------------------------------ */

FO_INLINE void FN(update_list)(const fo_penalty *it, fo_columns columns, ptrdiff_t now, real *gathered,
                               const int index64, const fo_penalty_kind kind)
{
    const ptrdiff_t n = columns.n;
    FN(block) block;
    for (ptrdiff_t j = 0; j < MIN(n, BLOCK_COLUMNS); ++j)
        FN(prefetch_column)(it, position_of(columns, index64, j), kind);
    for (ptrdiff_t first = 0; first < n; first += BLOCK_COLUMNS) {
        const ptrdiff_t count = MIN(n - first, BLOCK_COLUMNS);
        FN(update_block)(it, columns, index64, first, count, now, &block, kind);
        memcpy(gathered + first, block.w, (size_t)count * sizeof(real));
    }
}

FO_INLINE void FN(copy_row)(const fo_penalty *it, ptrdiff_t position, real *to)
{
    memcpy(to, (const real *)it->param + position * it->width, (size_t)it->width * sizeof(real));
}

FO_INLINE void FN(update_rows)(const fo_penalty *it, fo_columns columns, ptrdiff_t now, real *gathered)
{
    for (ptrdiff_t j = 0; j < columns.n; ++j) {
        const ptrdiff_t position = position_of(columns, columns.index64, j);
        FN(update_row)(it, position, now);
        FN(copy_row)(it, position, gathered + j * it->width);
    }
}

static void FN(update)(const fo_penalty *it, fo_columns columns, int64_t t, void *gathered)
{
    const ptrdiff_t now = (ptrdiff_t)(t - it->start);
    if (it->width > 1)
        FN(update_rows)(it, columns, now, gathered);
    else if (columns.index64 && it->kind == FO_FLOW)
        FN(update_list)(it, columns, now, gathered, 1, FO_FLOW);
    else if (columns.index64)
        FN(update_list)(it, columns, now, gathered, 1, FO_PROXIMAL);
    else if (it->kind == FO_FLOW)
        FN(update_list)(it, columns, now, gathered, 0, FO_FLOW);
    else
        FN(update_list)(it, columns, now, gathered, 0, FO_PROXIMAL);
}

static void FN(flush)(const fo_penalty *it, ptrdiff_t lo, ptrdiff_t hi, int64_t t)
{
    const ptrdiff_t now = (ptrdiff_t)(t - it->start), first = lo * BLOCK_COLUMNS;
    const ptrdiff_t stop = hi * BLOCK_COLUMNS < it->n_columns ? hi * BLOCK_COLUMNS : it->n_columns;
    const fo_columns all = {NULL, 0, it->n_columns};
    FN(block) block;
    for (ptrdiff_t column = first; column < stop && it->width > 1; ++column)
        FN(update_row)(it, column, now);
    for (ptrdiff_t column = first; column < stop && it->width == 1; column += BLOCK_COLUMNS) {
        const ptrdiff_t n = stop - column < BLOCK_COLUMNS ? stop - column : BLOCK_COLUMNS;
        if (it->kind == FO_FLOW)
            FN(update_block)(it, all, 0, column, n, now, &block, FO_FLOW);
        else
            FN(update_block)(it, all, 0, column, n, now, &block, FO_PROXIMAL);
    }
    for (ptrdiff_t column = first; column < stop; ++column)
        *left_of(it, column * it->spacing) = 0;
}

/* --- FO_LAGGED_GRADIENT ------------------------------------------------------------------------------------------- */

/* Of one output. `now`: the columns are marked as left after this step; -1: they are not. */
FO_INLINE void FN(gather_list)(const fo_penalty *it, fo_columns columns, ptrdiff_t now, real *gathered, int32_t *left,
                               const int index64)
{
    const real *param = it->param;
    for (ptrdiff_t j = 0; j < columns.n; ++j) {
        const ptrdiff_t position = position_of(columns, index64, j);
        if (j + GATHERED_AHEAD < columns.n)
            FN(prefetch_column)(it, position_of(columns, index64, j + GATHERED_AHEAD), FO_LAGGED_GRADIENT);
        gathered[j] = param[position];
        left[j] = *left_of(it, position);
        if (now >= 0)
            mark_left(it, position, now);
    }
}

static void FN(gather)(const fo_penalty *it, fo_columns columns, int64_t t, int mark, void *gathered, int32_t *left)
{
    const ptrdiff_t now = mark ? (ptrdiff_t)(t - it->start) : -1;
    if (it->width == 1 && columns.index64)
        FN(gather_list)(it, columns, now, gathered, left, 1);
    else if (it->width == 1)
        FN(gather_list)(it, columns, now, gathered, left, 0);
    for (ptrdiff_t j = 0; j < columns.n && it->width > 1; ++j) {
        const ptrdiff_t position = position_of(columns, columns.index64, j);
        FN(copy_row)(it, position, (real *)gathered + j * it->width);
        left[j] = *left_of(it, position);
        if (now >= 0)
            mark_left(it, position, now);
    }
}

FO_INLINE real FN(slope)(real w, double l2, double l1) { return (real)(l2 * w + (w > 0 ? l1 : w < 0 ? -l1 : 0)); }

/* Steps that a column has missed, this one included. */
FO_INLINE double FN(missed)(int32_t left, int32_t now)
{
    const int32_t steps = now + 1 - left;
    return steps > 0 ? steps : 0;        /* a lock-free worker may be further on */
}

static void FN(add_gradient)(const fo_penalty *it, ptrdiff_t n, int64_t t, const void *gathered, const int32_t *left,
                             void *gradient)
{
    const real *w = gathered;
    const double l2 = it->l2, l1 = it->l1;
    const int32_t now = (int32_t)(t - it->start);
    const ptrdiff_t width = it->width;
    real *FO_RESTRICT g = gradient;
    FO_SIMD
    for (ptrdiff_t j = 0; j < (width == 1 ? n : 0); ++j)
        g[j] += FN(slope)(w[j], FN(missed)(left[j], now) * l2, FN(missed)(left[j], now) * l1);
    for (ptrdiff_t j = 0; j < (width == 1 ? 0 : n); ++j) {
        const double missed = FN(missed)(left[j], now);
        FO_SIMD
        for (ptrdiff_t k = 0; k < width; ++k)
            g[j * width + k] += FN(slope)(w[j * width + k], missed * l2, missed * l1);
    }
}

static void FN(soft_threshold_all)(const fo_penalty *it, ptrdiff_t lo, ptrdiff_t hi, double rate)
{
    const real *accumulator = it->accumulator;
    real *w = it->param;
    for (ptrdiff_t j = lo; j < hi; ++j)
        w[j] = FN(shrink)(w[j], 1.0, it->l1 * (it->kind == FO_FLOW ? FN(flow_time)(it, accumulator[j], rate) : rate));
}

static const penalty_kernels FN(kernels) = {FN(update), FN(flush), FN(gather), FN(add_gradient),
                                            FN(soft_threshold_all)};
