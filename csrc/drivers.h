/* drivers.h -- the loops, written once for all rules; no threads here.
 *
 * Included once per (instruction set, dtype) of a rule. It gives the rule its `coefs` rounded to `real`,
 * includes the rule's update, and wraps it into FN(initialise) and one FN(dense_k) per form k. `form` is a
 * constant in each of those, so that absent slots and unused options cost nothing. */
#include "storage.h"

#define FIELD(f) real f;
typedef struct { COEF(FIELD) } FN(coefs);
typedef struct { real clip_value, grad_scale, l2, keep; } FN(modifiers);
#include RULE_FILE

#define ROUND(f) (real)exact.f,
#define HAS(options) ((form & (options)) == (options))
#define BIND(slot, options, initial) \
    state_t *FO_RESTRICT slot##_ = (state_t *)array->state[FO_SLOT_##slot]; (void)slot##_;
#define LOAD(slot, options, initial) real slot = HAS(options) ? LOAD_STATE(slot##_[i]) : 0; (void)slot;
#define SAVE(slot, options, initial) if (HAS(options)) slot##_[i] = SAVE_STATE(slot);
#define START(slot, options, initial) if (slot##_) slot##_[i] = SAVE_STATE((real)(initial));
#define ARGUMENT(slot, options, initial) , &slot

FO_INLINE FN(coefs) FN(round)(const fo_step *step)
{
    coefs exact;
    memcpy(&exact, step->coef, sizeof exact);
    const FN(coefs) rounded = { COEF(ROUND) };
    return rounded;
}

/* Value clipping, norm clipping and sign, weight decay of either kind, in the pass of the update itself. */
FO_INLINE real FN(modify)(real *p, real g, const FN(modifiers) *c)
{
    g = g > c->clip_value ? c->clip_value : g < -c->clip_value ? -c->clip_value : g;
    g *= c->grad_scale;
    g += c->l2 != 0 ? c->l2 * *p : 0;   /* not 0 * p, which is NaN for an infinite p */
    *p *= c->keep;
    return g;
}

static void FN(initialise)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi)
{
    const FN(coefs) rounded = FN(round)(step), *c = &rounded;
    const real *p_ = (const real *)array->param;
    SLOTS(BIND)
    (void)c;
    for (ptrdiff_t i = lo; i < hi; ++i) {
        const real p = p_[i];
        (void)p;
        SLOTS(START)
    }
}

FO_INLINE void FN(dense)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, const int form)
{
    const FN(coefs) c = FN(round)(step);
    const FN(modifiers) modifiers = {(real)step->clip_value, (real)step->grad_scale, (real)step->l2,
                                     (real)step->keep};
    real *FO_RESTRICT p_ = (real *)array->param;
    const real *FO_RESTRICT g_ = (const real *)array->grad;
    SLOTS(BIND)
    FO_SIMD
    for (ptrdiff_t i = lo; i < hi; ++i) {
        real p = p_[i], g = g_[i];
        SLOTS(LOAD)
        if (form & FO_MODIFIED)
            g = FN(modify)(&p, g, &modifiers);
        FN(update)(&p, g SLOTS(ARGUMENT), &c, form);
        p_[i] = p;
        SLOTS(SAVE)
    }
}

#define DENSE(k) \
    static void FN(dense_##k)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi) \
    { FN(dense)(array, step, lo, hi, k); }
#define ENTRY(k) FN(dense_##k),
FO_FORMS(DENSE)
static fo_kernel *const FN(forms)[] = { FO_FORMS(ENTRY) };
static const fo_variant FN(variant) = { FN(initialise), FN(forms) };

#undef FIELD
#undef ROUND
#undef HAS
#undef BIND
#undef LOAD
#undef SAVE
#undef START
#undef ARGUMENT
#undef DENSE
#undef ENTRY
