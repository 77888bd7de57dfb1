/* measure_tmpl.h -- the sums of a rule before its step: one read of parameters, gradient and state, in which nothing is
 * written. The products of a stage of entries are put aside, and then added up. */

#define LOAD_PART(slot, options, initial) real slot = HAS(options) ? LOAD_STATE(part.slot[i]) : 0; (void)slot;
#define STAGE_BEFORE(name, when, over) \
    FO_BEFORE(when, over, stage.name##_x[i] = factors.name##_x; stage.name##_y[i] = factors.name##_y;) \
    FO_ROW(when, over, stage.name##_x[i] = factors.name##_x; stage.name##_y[i] = factors.name##_y;) \
    FO_LINE(when, over, stage.name##_x[i] = factors.name##_x; stage.name##_y[i] = factors.name##_y;)
#define ADD_TO_COLUMNS(name, when, over) \
    FO_LINE(when, over, part.column_sums[i] += (double)stage.name##_x[i] * stage.name##_y[i];)

/* The sums before the step of `count` consecutive entries. */
FO_INLINE void FN(measure_range)(FN(streams) stream, ptrdiff_t count, const FN(coefs) *c,
                                 const FN(modifiers) *modifiers, fo_sums *into, const int form)
{
    for (ptrdiff_t start = 0, n; start < count; start += n) {
        FN(stage) stage;
        const FN(streams) part = FN(advance)(stream, start, start);
        n = count - start < STAGED ? count - start : STAGED;
        FO_SIMD
        for (ptrdiff_t i = 0; i < n; ++i) {
            real p = part.p[i], g = part.g[i];
            FN(factors) factors;
            ENTRY_SLOTS(LOAD_PART)
            if (form & FO_MODIFIED)
                g = FN(modify)(&p, g, modifiers);
            FN(measure)(p, g ENTRY_SLOTS(VALUE), &factors, c, form);
            SUMS(STAGE_BEFORE)
        }
        FN(add_stage)(&stage, n, into, FO_WHEN_before);
        for (ptrdiff_t i = 0; part.column_sums && i < n; ++i) {
            SUMS(ADD_TO_COLUMNS)
        }
        if (N_BEFORE > 0) /* rows are summed when all gradients have been checked */
            into->probe += FN(probe)(part.g, n);
    }
}

#if N_BEFORE > 0 && !BY_LINES
FO_INLINE void FN(measure_entries)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi,
                                   const int form)
{
    const FN(coefs) c = FN(round)(step);
    const FN(modifiers) modifiers = FN(modifiers_of)(step);
    FN(measure_range)(FN(advance)(FN(streams_of)(array), lo, lo), hi - lo, &c, &modifiers, step->sums, form);
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

#undef LOAD_PART
#undef STAGE_BEFORE
#undef ADD_TO_COLUMNS
