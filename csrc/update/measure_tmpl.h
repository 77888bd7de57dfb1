/* measure_tmpl.h -- the sums of a rule that are not taken during its step: one read of parameters, gradient and state,
 * in which nothing is written. */

#define LOAD_AT(slot, options, initial) real slot = HAS(options) ? stream.slot[i] : 0; (void)slot;
#define ADD_IN_PASS(name, when, over) \
    if (pass == FO_WHEN_##when) \
        ADD_PRODUCT(name, k)
#define ADD_TO_COLUMN(name, when, over) \
    FO_LINE(when, over, if (pass == FO_WHEN_before && by_columns) \
        stream.column_sums[i] += (double)factors.name##_x * factors.name##_y;)

/* The entries [first, first + count), of which the first one is in lane 0; count is LANES at most. */
FO_INLINE void FN(measure_lanes)(FN(streams) stream, ptrdiff_t first, ptrdiff_t count, const FN(coefs) *c,
                                 const FN(modifiers) *modifiers, FN(lanes) *lanes, const int by_columns, const int pass,
                                 const int form)
{
    (void)by_columns;
    FO_SIMD
    for (int k = 0; k < count; ++k) {
        const ptrdiff_t i = first + k;
        real p = stream.p[i], g = stream.g[i];
        FN(factors) factors;
        ENTRY_SLOTS(LOAD_AT)
        if (form & FO_MODIFIED)
            g = FN(modify)(&p, g, modifiers);
#if BY_LINES
        if (pass == FO_WHEN_between)
            FN(measure_between)(p, g ENTRY_SLOTS(VALUE) MATRIX_COLUMN_SLOTS(COLUMN_VALUE), &factors, c, form);
        else
#endif
            FN(measure)(p, g ENTRY_SLOTS(VALUE), &factors, c, form);
        SUMS(ADD_IN_PASS)
        SUMS(ADD_TO_COLUMN)
    }
}

/* `count` consecutive entries; with `by_columns` the sums of their columns, too. */
FO_INLINE void FN(measure_range)(FN(streams) stream, ptrdiff_t count, const FN(coefs) *c,
                                 const FN(modifiers) *modifiers, FN(lanes) *lanes, const int by_columns, const int pass,
                                 const int form)
{
    ptrdiff_t i = 0;
    for (; i + LANES <= count; i += LANES)
        FN(measure_lanes)(stream, i, LANES, c, modifiers, lanes, by_columns, pass, form);
    FN(measure_lanes)(stream, i, count - i, c, modifiers, lanes, by_columns, pass, form);
}

#if N_BEFORE > 0 && !BY_LINES
FO_INLINE void FN(measure_entries)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi,
                                   const int form)
{
    const FN(coefs) c = FN(round)(step);
    const FN(modifiers) modifiers = FN(modifiers_of)(step);
    const FN(streams) stream = FN(advance)(FN(streams_of)(array), lo, lo);
    FN(lanes) lanes = {0};
    FN(load_lanes)(&lanes, step->lanes, FO_WHEN_before);
    FN(measure_range)(stream, hi - lo, &c, &modifiers, &lanes, 0, FO_WHEN_before, form);
    FN(save_lanes)(&lanes, step->lanes, FO_WHEN_before);
    if (step->lanes->wants_probe)
        step->lanes->probe += FN(probe)(stream.g, hi - lo);
}

#define MEASURE_KERNEL(k) \
    static void FN(measure_##k)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi) \
    { FN(measure_entries)(array, step, lo, hi, k); }
#define MEASURE(k) FN(measure_##k),
FO_FORMS(MEASURE_KERNEL)
static fo_kernel *const FN(measure_forms)[] = {FO_FORMS(MEASURE)};
#undef MEASURE_KERNEL
#undef MEASURE
#endif

#undef LOAD_AT
#undef ADD_IN_PASS
#undef ADD_TO_COLUMN
