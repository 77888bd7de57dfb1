/* drivers_tmpl.h -- the loops, written once for all rules; no threads here.
 *
 * Included once per (instruction set, dtype) of a rule. It gives the rule its `coefs` rounded to `real`,
 * includes the rule's update, and wraps it into kernels: FN(dense_k), FN(rows_k) and FN(elements_k) for each
 * form k, FN(initialise) and FN(flush). All three layouts run one loop, FN(update_range), over consecutive entries.
 * `form` is a constant in each kernel, so that absent slots and unused options cost nothing.
 *
 * A rule with sums says for each entry which products they are of: in measure() those before the step, in update()
 * those during it. The loops put the products aside, a stage of entries at a time, and add them up. */
#include "update/products_tmpl.h"

#define FIELD(f) real f;
#define STREAM(slot, options, initial) state_t *slot;
/* The scalars of a step, rounded to the dtype: those of the rule, and those that come before it. */
typedef struct {
    COEF(FIELD)
} FN(coefs);
typedef struct {
    real clip_value, grad_scale, l2, decay_factor;
} FN(modifiers);

/* Where parameter, gradient and state begin, for one range of entries; NULL for an absent slot. */
typedef struct {
    real *p;
    const real *g;
    ENTRY_SLOTS(STREAM)
} FN(streams);

#include "update/sums_tmpl.h"
#include RULE_FILE            /* FN(update), which takes FN(coefs); with sums FN(measure), and FN(adjust_row) */

#define ROUND(f) (real)exact.f,
#define HAS(options) ((form & (options)) == (options))
#define BIND(slot, options, initial) \
    state_t *FO_RESTRICT slot##_ = stream.slot; (void)slot##_;
#define LOAD(slot, options, initial) real slot = HAS(options) ? LOAD_STATE(slot##_[i]) : 0; (void)slot;
#define SAVE(slot, options, initial) if (HAS(options)) slot##_[i] = SAVE_STATE(slot);
#define START(slot, options, initial) if (stream.slot) stream.slot[i] = SAVE_STATE((real)(initial));
#define START_ROWS(slot, options, initial) \
    if (array->state[FO_SLOT_##slot]) \
        for (ptrdiff_t i = lo; i < hi; ++i) \
            if (i % array->row_width == 0) \
                ((state_t *)array->state[FO_SLOT_##slot])[i / array->row_width] = SAVE_STATE((real)(initial));
#define START_ARRAY(slot, options, initial) \
    if (array->state[FO_SLOT_##slot] && lo == 0) \
        *(double *)array->state[FO_SLOT_##slot] = (double)(initial);
#define ARGUMENT(slot, options, initial) , &slot
#define VALUE(slot, options, initial) , slot
#define FROM_ARRAY(slot, options, initial) stream.slot = (state_t *)array->state[FO_SLOT_##slot];
#define ADVANCE(slot, options, initial) if (stream.slot) stream.slot += entries;
#define DECAY(slot, options, initial) \
    if (stream.slot) \
        for (ptrdiff_t i = 0; i < count; ++i) \
            stream.slot[i] = SAVE_STATE(LOAD_STATE(stream.slot[i]) * factor);
#define STAGE(slot, options, initial) \
    state_t slot##_stage[ELEMENTS_STAGED]; staged.slot = all.slot ? slot##_stage : NULL;
#define GATHER(slot, options, initial) if (HAS(options)) staged.slot[k] = all.slot[entry];
#define SCATTER(slot, options, initial) if (HAS(options)) all.slot[entry] = staged.slot[k];
#define LOAD_PART(slot, options, initial) real slot = HAS(options) ? LOAD_STATE(part.slot[i]) : 0; (void)slot;
#define STAGE_BEFORE(name, when, over) \
    FO_BEFORE(when, over, stage.name##_x[i] = factors.name##_x; stage.name##_y[i] = factors.name##_y;) \
    FO_ROW(when, over, stage.name##_x[i] = factors.name##_x; stage.name##_y[i] = factors.name##_y;)
#define STAGE_DURING(name, when, over) \
    FO_DURING(when, over, stage->name##_x[i] = factors.name##_x; stage->name##_y[i] = factors.name##_y;)
#define PREFETCH_ROW(slot, options, initial) if (HAS(options)) prefetch_row(all.slot + entry, nbytes);
#define PREFETCH_ENTRY(slot, options, initial) if (HAS(options)) prefetch_entry(all.slot + entry);

FO_INLINE FN(coefs) FN(round)(const fo_step *step)
{
    coefs exact;
    memcpy(&exact, step->coef, sizeof exact);
    const FN(coefs) rounded = {COEF(ROUND)};
    return rounded;
}

FO_INLINE FN(modifiers) FN(modifiers_of)(const fo_step *step)
{
    const FN(modifiers) rounded = {(real)step->clip_value, (real)step->grad_scale, (real)step->l2,
                                   (real)step->decay_factor};
    return rounded;
}

FO_INLINE FN(streams) FN(streams_of)(const fo_array *array)
{
    FN(streams) stream;
    stream.p = (real *)array->param;
    stream.g = (const real *)array->grad;
    ENTRY_SLOTS(FROM_ARRAY)
    return stream;
}

/* The streams some entries further on; the gradient is moved by its own count. */
FO_INLINE FN(streams) FN(advance)(FN(streams) stream, ptrdiff_t entries, ptrdiff_t grad_entries)
{
    stream.p += entries;
    stream.g += grad_entries;
    ENTRY_SLOTS(ADVANCE)
    return stream;
}

/* Value clipping, norm clipping and sign, weight decay of either kind, in the pass of the update itself. */
FO_INLINE real FN(modify)(real *p, real g, const FN(modifiers) *c)
{
    g = g > c->clip_value ? c->clip_value : g < -c->clip_value ? -c->clip_value : g;
    g *= c->grad_scale;
    g += c->l2 != 0 ? c->l2 * *p : 0;   /* not 0 * p, which is NaN for an infinite p */
    *p = c->decay_factor == 1 ? *p : *p * c->decay_factor;   /* the very bits of p, subnormal ones too */
    return g;
}

#if N_BEFORE + N_ROW_SUMS > 0
/* The sums before the step of `count` consecutive entries. */
FO_INLINE void FN(measure_range)(FN(streams) stream, ptrdiff_t count, const FN(coefs) *c, const FN(modifiers) *modifiers,
                                 fo_sums *into, const int form)
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
        FN(add_stage)(&stage, n, into);
        into->probe += FN(probe)(part.g, n);
    }
}
#endif

#if N_BEFORE > 0
FO_INLINE void FN(measure_entries)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi,
                                   const int form)
{
    const FN(coefs) c = FN(round)(step);
    const FN(modifiers) modifiers = FN(modifiers_of)(step);
    FN(measure_range)(FN(advance)(FN(streams_of)(array), lo, lo), hi - lo, &c, &modifiers, step->sums, form);
}
#endif

/* The update of `count` consecutive entries; `stage` takes what is summed of them. */
FO_INLINE void FN(update_range)(FN(streams) stream, ptrdiff_t count, const FN(coefs) *c, const FN(modifiers) *modifiers,
                                FN(stage) *stage, const int form)
{
    real *FO_RESTRICT p_ = stream.p;
    const real *FO_RESTRICT g_ = stream.g;
    const FN(coefs) coefs_here = *c;     /* registers, not memory that the stores might alias */
    ENTRY_SLOTS(BIND)
    (void)stage;
    FO_SIMD
    for (ptrdiff_t i = 0; i < count; ++i) {
        real p = p_[i], g = g_[i];
        FN(factors) factors;
        (void)factors;
        ENTRY_SLOTS(LOAD)
        if (form & FO_MODIFIED)
            g = FN(modify)(&p, g, modifiers);
        FN(update)(&p, g SLOTS(ARGUMENT) KEPT(VALUE) FACTORS_ARGUMENT, &coefs_here, form);
        p_[i] = p;
        SLOTS(SAVE)
        SUMS(STAGE_DURING)
    }
}

static void FN(initialise)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi)
{
    const FN(coefs) rounded = FN(round)(step), *c = &rounded;
    const FN(streams) stream = FN(streams_of)(array);
    (void)c;
    for (ptrdiff_t i = lo; i < hi; ++i) {
        const real p = stream.p[i];
        (void)p;
        ENTRY_SLOTS(START)
    }
    ROW_SLOTS(START_ROWS)
    ARRAY_SLOTS(START_ARRAY)
}

#if !BY_ROWS
FO_INLINE void FN(dense)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, const int form)
{
    const FN(coefs) c = FN(round)(step);
    const FN(modifiers) modifiers = FN(modifiers_of)(step);
    const FN(streams) stream = FN(advance)(FN(streams_of)(array), lo, lo);
#if N_DURING > 0
    for (ptrdiff_t start = 0, n; start < hi - lo; start += n) {
        FN(stage) stage;
        n = hi - lo - start < STAGED ? hi - lo - start : STAGED;
        FN(update_range)(FN(advance)(stream, start, start), n, &c, &modifiers, &stage, form);
        FN(add_stage)(&stage, n, step->sums);
    }
#else
    FN(update_range)(stream, hi - lo, &c, &modifiers, NULL, form);
#endif
}
#endif

/* The state of `count` entries, over the zero gradients since it was last brought up to date: see fo_zero_gradient. */
FO_INLINE void FN(lagged_decay)(FN(streams) stream, ptrdiff_t count, const fo_step *step, int64_t skipped)
{
#ifdef ZERO_GRADIENT_FACTOR
    coefs exact;
    memcpy(&exact, step->coef, sizeof exact);
    const real factor = (real)power_int(exact.ZERO_GRADIENT_FACTOR, skipped);
    if (skipped > 0) {
        SLOTS(DECAY)
    }
#else
    (void)stream;
    (void)count;
    (void)step;
    (void)skipped;
#endif
}

static void FN(flush)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi)
{
    const ptrdiff_t width = array->row_width;
    for (ptrdiff_t row = lo; row < hi; ++row) {
        const FN(streams) stream = FN(advance)(FN(streams_of)(array), row * width, 0);
        FN(lagged_decay)(stream, width, step, step->t - array->last_step[row]);
        array->last_step[row] = step->t;
    }
}

#if BY_ROWS
#include "update/whole_rows_tmpl.h"
#define DENSE_LOOP FN(rows)
#define ELEMENTS_LOOP FN(rows)
#else
#define DENSE_LOOP FN(dense)
#define ELEMENTS_LOOP FN(elements)
FO_INLINE void FN(rows)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, const int form)
{
    const FN(coefs) c = FN(round)(step);
    const FN(modifiers) modifiers = FN(modifiers_of)(step);
    const FN(streams) all = FN(streams_of)(array);
    const ptrdiff_t width = array->at.width, nbytes = width * (ptrdiff_t)sizeof(real);
    for (ptrdiff_t k = lo; k < hi; ++k) {
        const ptrdiff_t row = position(&array->at, k);
        if (k + ROWS_AHEAD < hi) {
            const ptrdiff_t entry = position(&array->at, k + ROWS_AHEAD) * width;
            prefetch_row(all.p + entry, nbytes);
            ENTRY_SLOTS(PREFETCH_ROW)
        }
        const FN(streams) stream = FN(advance)(all, row * width, k * width);
        if (array->last_step) {
            FN(lagged_decay)(stream, width, step, step->t - 1 - array->last_step[row]);
            array->last_step[row] = step->t;
        }
        FN(update_range)(stream, width, &c, &modifiers, NULL, form);
    }
}

/* Entries at random places: gathered into the first-level cache, updated there as one range, scattered back. */
FO_INLINE void FN(elements)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, const int form)
{
    const FN(coefs) c = FN(round)(step);
    const FN(modifiers) modifiers = FN(modifiers_of)(step);
    const FN(streams) all = FN(streams_of)(array);
    const fo_positions positions = array->at;
    volatile ptrdiff_t at[ELEMENTS_STAGED];   /* volatile: no scatter instructions, which take longer than stores */
    real p_stage[ELEMENTS_STAGED];
    FN(streams) staged;
    staged.p = p_stage;
    ENTRY_SLOTS(STAGE)
    for (ptrdiff_t start = lo; start < hi; start += ELEMENTS_STAGED) {
        const int count = hi - start < ELEMENTS_STAGED ? (int)(hi - start) : ELEMENTS_STAGED;
        const ptrdiff_t ahead = start + ELEMENTS_AHEAD, stop = ahead + count < hi ? ahead + count : hi;
        for (ptrdiff_t k = ahead; k < stop; ++k) {
            const ptrdiff_t entry = position(&positions, k);
            prefetch_entry(all.p + entry);
            ENTRY_SLOTS(PREFETCH_ENTRY)
        }
        for (int k = 0; k < count; ++k) {
            const ptrdiff_t entry = position(&positions, start + k);
            at[k] = entry;
            staged.p[k] = all.p[entry];
            ENTRY_SLOTS(GATHER)
        }
        if (array->last_step)
            for (int k = 0; k < count; ++k) {
                const FN(streams) stream = FN(advance)(staged, k, 0);
                FN(lagged_decay)(stream, 1, step, step->t - 1 - array->last_step[at[k]]);
                array->last_step[at[k]] = step->t;
            }
        staged.g = all.g + start;
        FN(update_range)(staged, count, &c, &modifiers, NULL, form);
        for (int k = 0; k < count; ++k) {
            const ptrdiff_t entry = at[k];
            all.p[entry] = staged.p[k];
            SLOTS(SCATTER)
        }
    }
}
#endif

#define KERNELS(k) \
    static void FN(dense_##k)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi) \
    { DENSE_LOOP(array, step, lo, hi, k); } \
    static void FN(rows_##k)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi) \
    { FN(rows)(array, step, lo, hi, k); } \
    static void FN(elements_##k)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi) \
    { ELEMENTS_LOOP(array, step, lo, hi, k); }
#define DENSE(k) FN(dense_##k),
#define ROWS(k) FN(rows_##k),
#define ELEMENTS(k) FN(elements_##k),
FO_FORMS(KERNELS)
static fo_kernel *const FN(dense_forms)[] = {FO_FORMS(DENSE)};
static fo_kernel *const FN(rows_forms)[] = {FO_FORMS(ROWS)};
static fo_kernel *const FN(elements_forms)[] = {FO_FORMS(ELEMENTS)};
#if N_BEFORE > 0
#define MEASURE_KERNEL(k) \
    static void FN(measure_##k)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi) \
    { FN(measure_entries)(array, step, lo, hi, k); }
#define MEASURE(k) FN(measure_##k),
FO_FORMS(MEASURE_KERNEL)
static fo_kernel *const FN(measure_forms)[] = {FO_FORMS(MEASURE)};
#undef MEASURE_KERNEL
#undef MEASURE
#define MEASURE_FORMS FN(measure_forms)
#else
#define MEASURE_FORMS NULL
#endif
static const fo_rule_kernels FN(kernels) = {
    FN(initialise), FN(flush), FN(dense_forms), FN(rows_forms), FN(elements_forms), MEASURE_FORMS,
};

#undef FIELD
#undef STREAM
#undef ROUND
#undef HAS
#undef BIND
#undef LOAD
#undef SAVE
#undef START
#undef START_ROWS
#undef START_ARRAY
#undef ARGUMENT
#undef VALUE
#undef FROM_ARRAY
#undef ADVANCE
#undef DECAY
#undef STAGE
#undef GATHER
#undef SCATTER
#undef LOAD_PART
#undef STAGE_BEFORE
#undef STAGE_DURING
#undef FACTORS_ARGUMENT
#undef PREFETCH_ROW
#undef PREFETCH_ENTRY
#undef MEASURE_FORMS
#undef DENSE_LOOP
#undef ELEMENTS_LOOP
#undef KERNELS
#undef DENSE
#undef ROWS
#undef ELEMENTS
