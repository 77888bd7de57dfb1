/* whole_rows_tmpl.h -- the loops of a rule that takes rows as a whole: first the sums of a row and its scalars, then
 * the update of its entries, while it is in the cache. Short rows go through this some at a time, so that a processor
 * does not wait for the sum, the root and the quotient of each. A dense pass counts rows, too. */
#if N_ROW_SUMS == 0
#error "slots with a number for each row need a sum over rows to be made of"
#endif
#ifdef ZERO_GRADIENT_FACTOR
#error "rows that zero gradients would let decay are not brought up to date here: the rule moves or stays"
#endif

#define TOTAL_OF_ROW(name, when, over) sum.name = fo_total(lanes.sum[FO_SUM_##name], FN(scaled));
#define ROW_ARGUMENT(slot, options, initial) , (real *)array->state[FO_SLOT_##slot] + row
#define PREFETCH_ROW(slot, options, initial) if (HAS(options)) prefetch_row(all.slot + entry, nbytes);
#define PREFETCH_NUMBER(slot, options, initial) \
    if (HAS(options)) prefetch_row((real *)array->state[FO_SLOT_##slot] + row, sizeof(real));

/* The scalars of a row, from its sums. */
FO_INLINE FN(coefs) FN(coefs_of_row)(const fo_array *array, ptrdiff_t row, FN(lanes) lanes, const FN(coefs) *c)
{
    FN(coefs) own = *c;
    sums sum;
    SUMS(TOTAL_OF_ROW)
    FN(adjust_row)(&sum, array->row_width ROW_SLOTS(ROW_ARGUMENT), &own);
    return own;
}

/* Some consecutive entries of a row. */
typedef struct {
    FN(streams) stream;
    ptrdiff_t n;
} FN(part);

/* Those from `start` on that fit into a buffer, for a gradient with strides or among zeros. */
FO_INLINE FN(part) FN(fetch)(const fo_array *array, FN(streams) all, ptrdiff_t row, ptrdiff_t start, void *buffer)
{
    const ptrdiff_t left = array->row_width - start, entry = row * array->row_width + start;
    FN(part) part = {FN(advance)(all, entry, 0), left < FO_GRADIENT_BUFFER ? left : FO_GRADIENT_BUFFER};
    part.stream.g = (const real *)fo_dense_gradient(array, entry, entry + part.n, buffer);
    return part;
}

/* Rows [lo, hi) of a gradient that comes through a buffer. The parts of a long row are fetched twice. */
FO_INLINE void FN(buffered_rows)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, const int form)
{
    double buffer[FO_GRADIENT_BUFFER];
    const FN(coefs) c = FN(round)(step);
    const FN(modifiers) modifiers = FN(modifiers_of)(step);
    const FN(streams) all = FN(streams_of)(array);
    for (ptrdiff_t row = lo; row < hi; ++row) {
        FN(lanes) lanes = {0};
        for (ptrdiff_t start = 0; start < array->row_width; start += FO_GRADIENT_BUFFER) {
            const FN(part) part = FN(fetch)(array, all, row, start, buffer);
            FN(measure_range)(part.stream, part.n, &c, &modifiers, &lanes, 0, FO_WHEN_before, form);
        }
        const FN(coefs) own = FN(coefs_of_row)(array, row, lanes, &c);
        for (ptrdiff_t start = 0; start < array->row_width; start += FO_GRADIENT_BUFFER) {
            const FN(part) part = FN(fetch)(array, all, row, start, buffer);
            FN(update_range)(part.stream, part.n, &own, &modifiers, NULL, form);
        }
    }
}

/* The row of the parameter that the k-th row of the gradient is of. */
FO_INLINE ptrdiff_t FN(row_at)(const fo_array *array, ptrdiff_t k, ptrdiff_t per_position)
{
    if (array->layout == FO_DENSE)
        return k;
    return per_position == 1 ? position(&array->at, k)
                             : position(&array->at, k / per_position) * per_position + k % per_position;
}

/* Positions [lo, hi) of a sparse gradient, each of one row or several; or rows of a contiguous one. */
FO_INLINE void FN(rows_in_place)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, const int form)
{
    const FN(coefs) c = FN(round)(step);
    const FN(modifiers) modifiers = FN(modifiers_of)(step);
    const FN(streams) all = FN(streams_of)(array);
    const int sparse = array->layout != FO_DENSE;
    const ptrdiff_t width = array->row_width, per_position = sparse ? array->at.width / width : 1;
    const ptrdiff_t nbytes = width * (ptrdiff_t)sizeof(real), stop = hi * per_position;
    const ptrdiff_t together = nbytes * ROWS_TOGETHER <= FO_BLOCK_BYTES ? ROWS_TOGETHER : 1;
    for (ptrdiff_t k = lo * per_position, n; k < stop; k += n) {
        FN(streams) stream[ROWS_TOGETHER];
        FN(coefs) own[ROWS_TOGETHER];
        FN(lanes) lanes[ROWS_TOGETHER];
        n = stop - k < together ? stop - k : together;
        for (ptrdiff_t i = 0; i < n; ++i) {
            if (sparse && k + i + ROWS_AHEAD < stop) {
                const ptrdiff_t row = FN(row_at)(array, k + i + ROWS_AHEAD, per_position), entry = row * width;
                prefetch_row(all.p + entry, nbytes);
                ENTRY_SLOTS(PREFETCH_ROW)
                ROW_SLOTS(PREFETCH_NUMBER)
            }
            FN(lanes) here = {0};
            stream[i] = FN(advance)(all, FN(row_at)(array, k + i, per_position) * width, (k + i) * width);
            FN(measure_range)(stream[i], width, &c, &modifiers, &here, 0, FO_WHEN_before, form);
            lanes[i] = here;
        }
        for (ptrdiff_t i = 0; i < n; ++i)
            own[i] = FN(coefs_of_row)(array, FN(row_at)(array, k + i, per_position), lanes[i], &c);
        for (ptrdiff_t i = 0; i < n; ++i)
            FN(update_range)(stream[i], width, &own[i], &modifiers, NULL, form);
    }
}

/* The same, and rows of any other gradient. */
FO_INLINE void FN(rows)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, const int form)
{
    if (array->layout == FO_EXPANDED || (array->layout == FO_DENSE && array->grad_strides.ndim != 0))
        FN(buffered_rows)(array, step, lo, hi, form);
    else
        FN(rows_in_place)(array, step, lo, hi, form);
}

#undef TOTAL_OF_ROW
#undef ROW_ARGUMENT
#undef PREFETCH_ROW
#undef PREFETCH_NUMBER
