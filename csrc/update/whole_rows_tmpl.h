/* whole_rows_tmpl.h -- the loops of a rule that takes rows as a whole: first the sums of a row and its scalars, then
 * the update of its entries, while it is in the cache. A dense pass counts rows, too. */
#if N_ROW_SUMS == 0
#error "slots with a number for each row need a sum over rows to be made of"
#endif
#ifdef ZERO_GRADIENT_FACTOR
#error "rows that zero gradients would let decay are not brought up to date here: the rule moves or stays"
#endif

#define TOTAL_OF_ROW(name, when, over) sum.name = fo_total(lanes.sum[FO_SUM_##name], FN(scaled));
#define ROW_ARGUMENT(slot, options, initial) , (state_t *)array->state[FO_SLOT_##slot] + row
#define PREFETCH_ROW(slot, options, initial) if (HAS(options)) prefetch_row(all.slot + entry, nbytes);
#define PREFETCH_NUMBER(slot, options, initial) \
    if (HAS(options)) prefetch_entry((state_t *)array->state[FO_SLOT_##slot] + entry / width);

/* Streams of the entries [lo, hi) of the array. A gradient with strides, or one among zeros, comes through a buffer. */
FO_INLINE FN(streams) FN(fetch)(const fo_array *array, FN(streams) part, ptrdiff_t lo, ptrdiff_t hi, void *buffer)
{
    if (buffer)
        part.g = (const real *)fo_dense_gradient(array, lo, hi, buffer);
    return part;
}

/* One row of the parameter with its gradient. Of a long one that comes through a buffer, parts are fetched twice. */
FO_INLINE void FN(row)(const fo_array *array, FN(streams) stream, ptrdiff_t row, const int buffered, const FN(coefs) *c,
                       const FN(modifiers) *modifiers, const int form)
{
    double memory[FO_GRADIENT_BUFFER], *buffer = buffered ? memory : NULL;
    const ptrdiff_t width = array->row_width, most = buffered ? FO_GRADIENT_BUFFER : width, entry = row * width;
    FN(lanes) lanes = {0};
    sums sum;
    FN(coefs) own = *c;
    for (ptrdiff_t start = 0, n; start < width; start += n) {
        n = width - start < most ? width - start : most;
        const ptrdiff_t lo = entry + start;
        const FN(streams) part = FN(fetch)(array, FN(advance)(stream, start, start), lo, lo + n, buffer);
        FN(measure_range)(part, n, c, modifiers, &lanes, 0, FO_WHEN_before, form);
    }
    SUMS(TOTAL_OF_ROW)
    FN(adjust_row)(&sum, width ROW_SLOTS(ROW_ARGUMENT), &own);
    for (ptrdiff_t start = 0, n; start < width; start += n) {
        n = width - start < most ? width - start : most;
        const ptrdiff_t lo = entry + start;
        const FN(streams) part = FN(fetch)(array, FN(advance)(stream, start, start), lo, lo + n, buffer);
        FN(update_range)(part, n, &own, modifiers, NULL, form);
    }
}

/* Positions [lo, hi) of a sparse gradient, each of one row or several; or rows, of any other gradient. */
FO_INLINE void FN(rows)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, const int form)
{
    const FN(coefs) c = FN(round)(step);
    const FN(modifiers) modifiers = FN(modifiers_of)(step);
    const FN(streams) all = FN(streams_of)(array);
    const int sparse = array->layout == FO_ROWS || array->layout == FO_ELEMENTS;
    const int buffered = array->layout == FO_EXPANDED || (!sparse && array->grad_strides.ndim != 0);
    const ptrdiff_t width = array->row_width, per_position = sparse ? array->at.width / width : 1;
    const ptrdiff_t nbytes = per_position * width * (ptrdiff_t)sizeof(real);
    for (ptrdiff_t k = lo; k < hi; ++k) {
        const ptrdiff_t first = sparse ? position(&array->at, k) * per_position : k;
        if (sparse && k + ROWS_AHEAD < hi) {
            const ptrdiff_t entry = position(&array->at, k + ROWS_AHEAD) * array->at.width;
            prefetch_row(all.p + entry, nbytes);
            ENTRY_SLOTS(PREFETCH_ROW)
            ROW_SLOTS(PREFETCH_NUMBER)
        }
        for (ptrdiff_t j = 0; j < per_position; ++j) {
            const ptrdiff_t entry = (first + j) * width, of_gradient = (k * per_position + j) * width;
            FN(row)(array, FN(advance)(all, entry, of_gradient), first + j, buffered, &c, &modifiers, form);
        }
    }
}

#undef TOTAL_OF_ROW
#undef ROW_ARGUMENT
#undef PREFETCH_ROW
#undef PREFETCH_NUMBER
