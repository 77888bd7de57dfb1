/* catch_up_tmpl.h -- how the entries of a row that was behind catch up: catch_up.h says what is done, and why. */

enum { FN(N_IN_MAP) = 1 + (int)(0 SLOTS(FO_COUNT_SLOT)) };   /* columns of a map, or pairs */
#define TAKE(slot, options, initial) before[1 + FO_SLOT_##slot] = HAS(options) ? slot##_[i] : 0;
#define PUT(slot, options, initial) if (HAS(options)) slot##_[i] = after[1 + FO_SLOT_##slot];
#define MULTIPLY(slot, options, initial) \
    for (ptrdiff_t i = 0; HAS(options) && i < count; ++i) \
        stream.slot[i] = (real)(map[2 * (1 + FO_SLOT_##slot)] * stream.slot[i] + map[2 * (1 + FO_SLOT_##slot) + 1]);
#define FACTOR(slot, factor, addend) \
    map[2 * (1 + FO_SLOT_##slot)] = (double)(factor) + spoilt; map[2 * (1 + FO_SLOT_##slot) + 1] = (double)(addend);
#define IS_ZERO(slot, factor, addend) faded = faded && (!stream.slot || stream.slot[i] == 0);

#if defined(RESTS_LINEAR)
#define PAST_BYTES 0
#define REMEMBER NULL
#define REST_MAP NULL

/* A linear rest is one map, whatever the state is. */
FO_INLINE int FN(has_faded)(FN(streams) stream, ptrdiff_t count)
{
    (void)stream, (void)count;
    return 1;
}

/* A factor 0 is no factor: of an infinite entry it would make NaN. Entries are scalars here, which are vectorised. */
FO_INLINE void FN(apply_map)(FN(streams) stream, ptrdiff_t count, const double *map, const int form)
{
    real matrix[FN(N_IN_MAP)][FN(N_IN_MAP)], *FO_RESTRICT p_ = stream.p;
    SLOTS(BIND)
    for (int row = 0; row < FN(N_IN_MAP); ++row)
        for (int k = 0; k < FN(N_IN_MAP); ++k)
            matrix[row][k] = (real)map[row * FN(N_IN_MAP) + k];
    for (ptrdiff_t i = 0; i < count; ++i) {
        real before[FN(N_IN_MAP)], after[FN(N_IN_MAP)];
        before[0] = p_[i];
        SLOTS(TAKE)
        for (int row = 0; row < FN(N_IN_MAP); ++row) {
            after[row] = matrix[row][0] == 0 ? 0 : matrix[row][0] * before[0];
            for (int k = 1; k < FN(N_IN_MAP); ++k)
                after[row] += matrix[row][k] == 0 ? 0 : matrix[row][k] * before[k];
        }
        p_[i] = after[0];
        SLOTS(PUT)
    }
}

FO_INLINE void FN(catch_up_form)(const fo_history *history, FN(streams) stream, ptrdiff_t count, int64_t from,
                                 int64_t t, fo_rests *rests, const int form)
{
    FN(apply_map)(stream, count, fo_map_between(history, from, t, rests), form);
}

#elif defined(FADES)
#define PAST_BYTES sizeof(FN(past))
#define REMEMBER FN(remember)
#define REST_MAP FN(rest_map)

/* The scalars of a step, as kernels use them. */
typedef struct {
    FN(coefs) c;
    FN(modifiers) modifiers;
} FN(past);

static void FN(remember)(const fo_step *step, void *past, ptrdiff_t place)
{
    ((FN(past) *)past)[place].c = FN(round)(step);
    ((FN(past) *)past)[place].modifiers = FN(modifiers_of)(step);
}

static void FN(rest_map)(const fo_step *step, double *map)
{
    const FN(coefs) rounded = FN(round)(step), *c = &rounded;
    const double spoilt = 0.0 * step->grad_scale;   /* NaN where clip_norm has met one: it reaches all entries */
    for (int k = 0; k < FN(N_IN_MAP); ++k)
        map[2 * k] = 1.0, map[2 * k + 1] = 0.0;
    map[0] = (double)(FN(modifiers_of)(step).decay_factor * REST_DECAY) + spoilt;
    (void)c;
    FADES(FACTOR)
    RESTS(FACTOR)
}

/* Whether the terms of these entries are zero already. */
FO_INLINE int FN(has_faded)(FN(streams) stream, ptrdiff_t count)
{
    int faded = 1;
    (void)stream;
    for (ptrdiff_t i = 0; faded && i < count; ++i) {
        FADES(IS_ZERO)
    }
    return faded;
}

FO_INLINE void FN(apply_map)(FN(streams) stream, ptrdiff_t count, const double *map, const int form)
{
    for (ptrdiff_t i = 0; i < count; ++i)
        stream.p[i] = (real)(map[0] * stream.p[i] + map[1]);
    SLOTS(MULTIPLY)
}

/* Some consecutive missed steps. Functions of their own, one for the options: each is called twice. */
typedef void FN(missed)(const FN(streams) *at, ptrdiff_t count, const FN(past) *past, int64_t n);
#define MISSED_STEPS(form) \
    static FO_NOINLINE void FN(missed_steps_##form)(const FN(streams) *at, ptrdiff_t count, const FN(past) *past, \
                                                    int64_t n) \
    { \
        static const real zeros[FO_REST_CHUNK]; \
        FN(streams) stream = *at; \
        stream.g = zeros; \
        for (int64_t k = 0; k < n; ++k) \
            FN(update_range)(stream, count, &past[k].c, &past[k].modifiers, NULL, form | FO_MODIFIED); \
    }
#define MISSED_STEPS_OF(form) FN(missed_steps_##form),
FO_OPTION_FORMS(MISSED_STEPS)
static FN(missed) *const FN(missed_steps)[] = {FO_OPTION_FORMS(MISSED_STEPS_OF)};

#ifdef REST_BY_ROOT
/* The same, with the root of what terms are divided by in the place of the root of each. */
FO_INLINE void FN(steps_by_root)(FN(streams) stream, ptrdiff_t count, const FN(past) *past, int64_t n, const int form)
{
    real root_[FO_REST_CHUNK], *FO_RESTRICT p_ = stream.p;
    SLOTS(BIND)
    FO_SIMD
    for (ptrdiff_t i = 0; i < count; ++i) {
        SLOTS(LOAD)
        root_[i] = FN(rest_root)(form SLOTS(VALUE));
    }
    for (int64_t k = 0; k < n; ++k) {
        const FN(coefs) c = past[k].c;
        const real decay_factor = past[k].modifiers.decay_factor;
        FO_SIMD
        for (ptrdiff_t i = 0; i < count; ++i) {
            real p = decay_factor * p_[i], root = root_[i];
            SLOTS(LOAD)
            FN(rest)(&p SLOTS(ARGUMENT), &root, &c, form);
            p_[i] = p;
            root_[i] = root;
            SLOTS(SAVE)
        }
    }
}
#endif

/* The missed steps whose terms show. */
FO_INLINE void FN(shown_steps)(const fo_history *history, FN(streams) stream, ptrdiff_t count, const FN(past) *past,
                               int64_t n, const int form)
{
#ifdef REST_BY_ROOT
    if (history->by_root) {
        FN(steps_by_root)(stream, count, past, n, form);
        return;
    }
#endif
    (void)history;
    FN(missed_steps)[form >> 1](&stream, count, past, n);
}

FO_INLINE void FN(catch_up_form)(const fo_history *history, FN(streams) stream, ptrdiff_t count, int64_t from,
                                 int64_t t, fo_rests *rests, const int form)
{
    const FN(past) *past = (const FN(past) *)history->past + (from - history->start);
    const int64_t missed = t - from, terms = history->terms;
    for (ptrdiff_t start = 0, n; start < count; start += n) {
        const FN(streams) here = FN(advance)(stream, start, 0);
        n = count - start < FO_REST_CHUNK ? count - start : FO_REST_CHUNK;
        const int64_t shown = FN(has_faded)(here, n) ? 0 : missed <= terms ? missed : terms - 1;
        FN(shown_steps)(history, here, n, past, shown, form);
        if (shown + 1 < missed)
            FN(apply_map)(here, n, fo_map_between(history, from + shown, t - 1, rests), form);
        if (shown < missed)
            FN(missed_steps)[form >> 1](&here, n, &past[missed - 1], 1);
    }
}

#else
#define PAST_BYTES 0
#define REMEMBER NULL
#define REST_MAP NULL

/* Such a rule has no history. */
FO_INLINE int FN(has_faded)(FN(streams) stream, ptrdiff_t count)
{
    (void)stream, (void)count;
    return 1;
}

FO_INLINE void FN(catch_up_form)(const fo_history *history, FN(streams) stream, ptrdiff_t count, int64_t from,
                                 int64_t t, fo_rests *rests, const int form)
{
    (void)history, (void)stream, (void)count, (void)from, (void)t, (void)rests, (void)form;
}
#endif

/* Functions of their own, which rows of every form and elements call: a copy in each would be much code. */
#define CATCH_UP(k) \
    static FO_NOINLINE void FN(catch_up_##k)(const fo_history *history, const FN(streams) *stream, ptrdiff_t count, \
                                             int64_t from, int64_t t, fo_rests *rests) \
    { FN(catch_up_form)(history, *stream, count, from, t, rests, k); }
#define CATCH_UP_FORM(k) FN(catch_up_##k),
FO_OPTION_FORMS(CATCH_UP)
static void (*const FN(catch_up_forms)[])(const fo_history *history, const FN(streams) *stream, ptrdiff_t count,
                                          int64_t from, int64_t t, fo_rests *rests) = {FO_OPTION_FORMS(CATCH_UP_FORM)};

/* Entries that are up to date with step `from` become so with step t. */
FO_INLINE void FN(catch_up)(const fo_history *history, const FN(streams) *stream, ptrdiff_t count, int64_t from,
                            int64_t t, fo_rests *rests)
{
    FN(catch_up_forms)[history->form >> 1](history, stream, count, from, t, rests);
}

#undef TAKE
#undef PUT
#undef MULTIPLY
#undef MISSED_STEPS
#undef MISSED_STEPS_OF
#undef FACTOR
#undef IS_ZERO
#undef CATCH_UP
#undef CATCH_UP_FORM
