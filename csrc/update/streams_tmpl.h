/* streams_tmpl.h -- what the loops of all layouts work on: the scalars of a step, rounded to the dtype, and where the
 * parameter, its gradient and its state begin; with the changes to a gradient that come before every rule. */

#define FIELD(f) real f;
#define STREAM(slot, options, initial) state_t *slot;
#define COLUMN_STREAM(slot) const state_t *slot;
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
    MATRIX_COLUMN_SLOTS(COLUMN_STREAM)   /* of the columns that the entries are in, like the next */
    double *column_sums;         /* NULL where sums of columns are not taken */
} FN(streams);

#define ROUND(f) (real)exact.f,
#define ROUND_FACTOR(f) rounded.f = FN(decay_factor)(exact.f, step->own_decay);
#define ROUND_DECAY(f, rate) rounded.f = FN(decay_amount)(exact.f, step->own_decay);
#define FROM_ARRAY(slot, options, initial) stream.slot = (state_t *)array->state[FO_SLOT_##slot];
#define ADVANCE(slot, options, initial) if (stream.slot) stream.slot += entries;
#define NO_COLUMNS(slot) stream.slot = NULL;
#define ADVANCE_COLUMNS(slot) if (stream.slot) stream.slot += entries;

/* A factor that decays the parameter, unless it is 1; and an amount of decay. */
FO_INLINE real FN(decay_factor)(double exact, fo_decay decay)
{
    return (real)(sizeof(real) == sizeof(float) && exact != 1 ? decay.due : exact);
}

FO_INLINE real FN(decay_amount)(double exact, fo_decay decay)
{
    const int whole = sizeof(real) != sizeof(float) || decay.due == decay.factor;
    return (real)(whole ? exact : exact * ((1 - decay.due) / (1 - decay.factor)));
}

FO_INLINE FN(coefs) FN(round)(const fo_step *step)
{
    coefs exact;
    memcpy(&exact, step->coef, sizeof exact);
    FN(coefs) rounded = {COEF(ROUND)};
    DECAY_FACTORS(ROUND_FACTOR)
    DECAY_AMOUNTS(ROUND_DECAY)
    return rounded;
}

FO_INLINE FN(modifiers) FN(modifiers_of)(const fo_step *step)
{
    const FN(modifiers) rounded = {(real)step->clip_value, (real)step->grad_scale, (real)step->l2,
                                   FN(decay_factor)(step->decay.factor, step->decay)};
    return rounded;
}

FO_INLINE FN(streams) FN(streams_of)(const fo_array *array)
{
    FN(streams) stream;
    stream.p = (real *)array->param;
    stream.g = (const real *)array->grad;
    ENTRY_SLOTS(FROM_ARRAY)
    MATRIX_COLUMN_SLOTS(NO_COLUMNS)
    stream.column_sums = NULL;
    return stream;
}

/* The streams some entries further on; the gradient is moved by its own count. */
FO_INLINE FN(streams) FN(advance)(FN(streams) stream, ptrdiff_t entries, ptrdiff_t grad_entries)
{
    stream.p += entries;
    stream.g += grad_entries;
    ENTRY_SLOTS(ADVANCE)
    MATRIX_COLUMN_SLOTS(ADVANCE_COLUMNS)
    if (stream.column_sums)
        stream.column_sums += entries;
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

#undef FIELD
#undef STREAM
#undef ROUND
#undef ROUND_FACTOR
#undef ROUND_DECAY
#undef FROM_ARRAY
#undef ADVANCE
#undef COLUMN_STREAM
#undef NO_COLUMNS
#undef ADVANCE_COLUMNS
