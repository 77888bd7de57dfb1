/* drivers_tmpl.h -- the loops, written once for all rules; no threads here.
 *
 * Included once per (instruction set, dtype) of a rule. It gives the rule its `coefs` rounded to `real`,
 * includes the rule's update, and wraps it into kernels: FN(dense_k), FN(rows_k) and FN(elements_k) for each
 * form k, FN(initialise) and FN(flush). All three layouts run one loop, FN(update_range), over consecutive entries.
 * `form` is a constant in each kernel, so that absent slots and unused options cost nothing. */

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
    ALL_SLOTS(STREAM)
} FN(streams);
#include RULE_FILE            /* FN(update), which takes FN(coefs) */

#define ROUND(f) (real)exact.f,
#define HAS(options) ((form & (options)) == (options))
#define BIND(slot, options, initial) \
    state_t *FO_RESTRICT slot##_ = stream.slot; (void)slot##_;
#define LOAD(slot, options, initial) real slot = HAS(options) ? LOAD_STATE(slot##_[i]) : 0; (void)slot;
#define SAVE(slot, options, initial) if (HAS(options)) slot##_[i] = SAVE_STATE(slot);
#define START(slot, options, initial) if (stream.slot) stream.slot[i] = SAVE_STATE((real)(initial));
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
    ALL_SLOTS(FROM_ARRAY)
    return stream;
}

/* The streams some entries further on; the gradient is moved by its own count. */
FO_INLINE FN(streams) FN(advance)(FN(streams) stream, ptrdiff_t entries, ptrdiff_t grad_entries)
{
    stream.p += entries;
    stream.g += grad_entries;
    ALL_SLOTS(ADVANCE)
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

/* The update of `count` consecutive entries. */
FO_INLINE void FN(update_range)(FN(streams) stream, ptrdiff_t count, const FN(coefs) *c, const FN(modifiers) *modifiers,
                                const int form)
{
    real *FO_RESTRICT p_ = stream.p;
    const real *FO_RESTRICT g_ = stream.g;
    const FN(coefs) coefs_here = *c;     /* registers, not memory that the stores might alias */
    ALL_SLOTS(BIND)
    FO_SIMD
    for (ptrdiff_t i = 0; i < count; ++i) {
        real p = p_[i], g = g_[i];
        ALL_SLOTS(LOAD)
        if (form & FO_MODIFIED)
            g = FN(modify)(&p, g, modifiers);
        FN(update)(&p, g SLOTS(ARGUMENT) KEPT(VALUE), &coefs_here, form);
        p_[i] = p;
        SLOTS(SAVE)
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
        ALL_SLOTS(START)
    }
}

FO_INLINE void FN(dense)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, const int form)
{
    const FN(coefs) c = FN(round)(step);
    const FN(modifiers) modifiers = FN(modifiers_of)(step);
    FN(update_range)(FN(advance)(FN(streams_of)(array), lo, lo), hi - lo, &c, &modifiers, form);
}

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
            ALL_SLOTS(PREFETCH_ROW)
        }
        const FN(streams) stream = FN(advance)(all, row * width, k * width);
        if (array->last_step) {
            FN(lagged_decay)(stream, width, step, step->t - 1 - array->last_step[row]);
            array->last_step[row] = step->t;
        }
        FN(update_range)(stream, width, &c, &modifiers, form);
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
    ALL_SLOTS(STAGE)
    for (ptrdiff_t start = lo; start < hi; start += ELEMENTS_STAGED) {
        const int count = hi - start < ELEMENTS_STAGED ? (int)(hi - start) : ELEMENTS_STAGED;
        const ptrdiff_t ahead = start + ELEMENTS_AHEAD, stop = ahead + count < hi ? ahead + count : hi;
        for (ptrdiff_t k = ahead; k < stop; ++k) {
            const ptrdiff_t entry = position(&positions, k);
            prefetch_entry(all.p + entry);
            ALL_SLOTS(PREFETCH_ENTRY)
        }
        for (int k = 0; k < count; ++k) {
            const ptrdiff_t entry = position(&positions, start + k);
            at[k] = entry;
            staged.p[k] = all.p[entry];
            ALL_SLOTS(GATHER)
        }
        if (array->last_step)
            for (int k = 0; k < count; ++k) {
                const FN(streams) stream = FN(advance)(staged, k, 0);
                FN(lagged_decay)(stream, 1, step, step->t - 1 - array->last_step[at[k]]);
                array->last_step[at[k]] = step->t;
            }
        staged.g = all.g + start;
        FN(update_range)(staged, count, &c, &modifiers, form);
        for (int k = 0; k < count; ++k) {
            const ptrdiff_t entry = at[k];
            all.p[entry] = staged.p[k];
            SLOTS(SCATTER)
        }
    }
}

#define KERNELS(k) \
    static void FN(dense_##k)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi) \
    { FN(dense)(array, step, lo, hi, k); } \
    static void FN(rows_##k)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi) \
    { FN(rows)(array, step, lo, hi, k); } \
    static void FN(elements_##k)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi) \
    { FN(elements)(array, step, lo, hi, k); }
#define DENSE(k) FN(dense_##k),
#define ROWS(k) FN(rows_##k),
#define ELEMENTS(k) FN(elements_##k),
FO_FORMS(KERNELS)
static fo_kernel *const FN(dense_forms)[] = {FO_FORMS(DENSE)};
static fo_kernel *const FN(rows_forms)[] = {FO_FORMS(ROWS)};
static fo_kernel *const FN(elements_forms)[] = {FO_FORMS(ELEMENTS)};
static const fo_rule_kernels FN(kernels) = {
    FN(initialise), FN(flush), FN(dense_forms), FN(rows_forms), FN(elements_forms),
};

#undef FIELD
#undef STREAM
#undef ROUND
#undef HAS
#undef BIND
#undef LOAD
#undef SAVE
#undef START
#undef ARGUMENT
#undef VALUE
#undef FROM_ARRAY
#undef ADVANCE
#undef DECAY
#undef STAGE
#undef GATHER
#undef SCATTER
#undef PREFETCH_ROW
#undef PREFETCH_ENTRY
#undef KERNELS
#undef DENSE
#undef ROWS
#undef ELEMENTS
