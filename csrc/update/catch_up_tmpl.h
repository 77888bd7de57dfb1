/* catch_up_tmpl.h -- how the entries of a row that was behind catch up: catch_up.h says what is done, and why. */

#define REAL_INDEX (sizeof(real) == sizeof(double))   /* of the dtype */
#define N_IN_MAP (1 + (int)(0 SLOTS(FO_COUNT_SLOT)))
#define TAKE(slot, options, initial) before[1 + FO_SLOT_##slot] = HAS(options) ? LOAD_STATE(slot##_[i]) : 0;
#define PUT(slot, options, initial) if (HAS(options)) slot##_[i] = SAVE_STATE((real)after[1 + FO_SLOT_##slot]);
#define FACTOR(slot, factor, addend) \
    map[2 * (1 + FO_SLOT_##slot)] = (double)(factor); map[2 * (1 + FO_SLOT_##slot) + 1] = (double)(addend);
#define IS_ZERO(slot, factor, addend) faded = faded && (!stream.slot || LOAD_STATE(stream.slot[i]) == 0);

#if defined(RESTS_LINEAR)
#define PAST_BYTES 0
#define REMEMBER NULL
#define REST_MAP NULL

/* A linear rest is one map, whatever the state is. */
FO_INLINE int FN(has_faded)(FN(streams) stream, ptrdiff_t count, const int form)
{
    (void)stream, (void)count, (void)form;
    return 1;
}

/* In double, and each number is rounded once. A factor 0 is no factor: of an infinite entry it would make NaN. */
FO_INLINE void FN(apply_map)(FN(streams) stream, ptrdiff_t count, const double *map, const int form)
{
    real *FO_RESTRICT p_ = stream.p;
    double matrix[N_IN_MAP * N_IN_MAP];
    SLOTS(BIND)
    memcpy(matrix, map, sizeof matrix);
    FO_SIMD
    for (ptrdiff_t i = 0; i < count; ++i) {
        double before[N_IN_MAP], after[N_IN_MAP];
        before[0] = p_[i];
        SLOTS(TAKE)
        for (int row = 0; row < N_IN_MAP; ++row) {
            after[row] = 0.0;
            for (int k = 0; k < N_IN_MAP; ++k) {
                const double factor = matrix[row * N_IN_MAP + k];
                after[row] += factor == 0.0 ? 0.0 : factor * before[k];
            }
        }
        p_[i] = (real)after[0];
        SLOTS(PUT)
    }
}

FO_INLINE void FN(catch_up_form)(const fo_history *history, FN(streams) stream, ptrdiff_t count, int64_t from,
                                 int64_t t, fo_rests *rests, const int form)
{
    FN(apply_map)(stream, count, fo_map_between(history, REAL_INDEX, from, t, rests), form);
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
    for (int k = 0; k < N_IN_MAP; ++k)
        map[2 * k] = 1.0, map[2 * k + 1] = 0.0;
    map[0] = (double)((real)step->decay_factor * REST_DECAY);
    (void)c;
    FADES(FACTOR)
    RESTS(FACTOR)
}

/* Whether the terms of these entries are zero already. */
FO_INLINE int FN(has_faded)(FN(streams) stream, ptrdiff_t count, const int form)
{
    int faded = 1;
    (void)stream, (void)form;
    for (ptrdiff_t i = 0; faded && i < count; ++i) {
        FADES(IS_ZERO)
    }
    return faded;
}

FO_INLINE void FN(apply_map)(FN(streams) stream, ptrdiff_t count, const double *map, const int form)
{
    real *FO_RESTRICT p_ = stream.p;
    double pairs[2 * N_IN_MAP];
    SLOTS(BIND)
    memcpy(pairs, map, sizeof pairs);
    FO_SIMD
    for (ptrdiff_t i = 0; i < count; ++i) {
        double before[N_IN_MAP], after[N_IN_MAP];
        before[0] = p_[i];
        SLOTS(TAKE)
        for (int k = 0; k < N_IN_MAP; ++k)
            after[k] = pairs[2 * k] * before[k] + pairs[2 * k + 1];
        p_[i] = (real)after[0];
        SLOTS(PUT)
    }
}

/* One missed step of some entries. */
FO_INLINE void FN(missed_step)(FN(streams) stream, ptrdiff_t count, const FN(past) *past, const int form)
{
    static const real zeros[FO_REST_CHUNK];
    stream.g = zeros;
    FN(update_entries)(stream, 0, count, &past->c, &past->modifiers, NULL, form | FO_MODIFIED);
}

FO_INLINE void FN(catch_up_form)(const fo_history *history, FN(streams) stream, ptrdiff_t count, int64_t from,
                                 int64_t t, fo_rests *rests, const int form)
{
    const FN(past) *past = (const FN(past) *)history->past[REAL_INDEX] + (from - history->start);
    const int64_t missed = t - from, terms = history->terms[REAL_INDEX];
    for (ptrdiff_t start = 0, n; start < count; start += n) {
        const FN(streams) here = FN(advance)(stream, start, 0);
        n = count - start < FO_REST_CHUNK ? count - start : FO_REST_CHUNK;
        const int64_t shown = FN(has_faded)(here, n, form) ? 0 : missed <= terms ? missed : terms - 1;
        for (int64_t k = 0; k < shown; ++k)
            FN(missed_step)(here, n, &past[k], form);
        if (shown + 1 < missed)
            FN(apply_map)(here, n, fo_map_between(history, REAL_INDEX, from + shown, t - 1, rests), form);
        if (shown < missed)
            FN(missed_step)(here, n, &past[missed - 1], form);
    }
}

#else
#define PAST_BYTES 0
#define REMEMBER NULL
#define REST_MAP NULL

/* Such a rule has no history. */
FO_INLINE int FN(has_faded)(FN(streams) stream, ptrdiff_t count, const int form)
{
    (void)stream, (void)count, (void)form;
    return 1;
}

FO_INLINE void FN(catch_up_form)(const fo_history *history, FN(streams) stream, ptrdiff_t count, int64_t from,
                                 int64_t t, fo_rests *rests, const int form)
{
    (void)history, (void)stream, (void)count, (void)from, (void)t, (void)rests, (void)form;
}
#endif

/* Functions of their own, which rows and elements of every form call: a copy in each would be much code. */
#define CATCH_UP(k) \
    static FO_NOINLINE void FN(catch_up_##k)(const fo_history *history, const FN(streams) *stream, ptrdiff_t count, \
                                             int64_t from, int64_t t, fo_rests *rests) \
    { FN(catch_up_form)(history, *stream, count, from, t, rests, k); }
#define CATCH_UP_FORM(k) FN(catch_up_##k),
FO_OPTION_FORMS(CATCH_UP)
static void (*const FN(catch_up)[])(const fo_history *history, const FN(streams) *stream, ptrdiff_t count, int64_t from,
                                    int64_t t, fo_rests *rests) = {FO_OPTION_FORMS(CATCH_UP_FORM)};

#undef REAL_INDEX
#undef N_IN_MAP
#undef TAKE
#undef PUT
#undef FACTOR
#undef IS_ZERO
#undef CATCH_UP
#undef CATCH_UP_FORM
