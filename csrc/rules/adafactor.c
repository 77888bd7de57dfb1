/* adafactor.c -- Adafactor without momentum (Shazeer & Stern 2018, algorithm 4) in the form of torch: steps relative to
 * the size of the parameters, and a second moment that is the product of those of rows and columns. Of a vector, which
 * is one row, the moments of columns are those of its entries. */
#ifndef FO_VARIANT
#define RULE adafactor
#define RULE_FILE "rules/adafactor.c"
#define HYPER(X) \
    X(beta_2_decay) X(epsilon_1) X(epsilon_2) X(clip_threshold) X(weight_decay) X(decoupled_weight_decay)
#define COEF(X) X(one_minus_beta_2) X(epsilon_1) X(rate) X(decay) X(decay_factor) X(row_scale)
#define DECAY_FACTORS(X) X(decay_factor)
#define SLOTS(X)
#define MATRIX_ROW_SLOTS(X) X(row_v)
#define MATRIX_COLUMN_SLOTS(X) X(column_v)
#define SUMS(X) X(p_squares, before, array) X(g_squares, before, line) X(u_squares, between, array)
#define OWN_WEIGHT_DECAY 1
#define ADJUSTS
#define SETTLES
#include "update/rule.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    const double slow = 1.0 / sqrt((double)step->t), rate = step->learning_rate;
    c->one_minus_beta_2 = power((double)step->t, h->beta_2_decay);
    c->epsilon_1 = h->epsilon_1;
    c->rate = rate < slow ? rate : slow;
    c->decay = h->decoupled_weight_decay ? 0.0 : h->weight_decay;
    c->decay_factor = h->decoupled_weight_decay ? 1.0 - rate * h->weight_decay : 1.0;
    c->row_scale = 1.0;
}

/* Relative to the root of the mean square of the parameters, as they are before weight decay. */
static void adjust(const hyper *h, const step_inputs *step, const sums *own, array_numbers *numbers, coefs *c)
{
    const double p_rms = fo_root(own->p_squares) / sqrt((double)step->size);
    (void)numbers;
    c->rate *= p_rms > h->epsilon_2 ? p_rms : h->epsilon_2;
}

/* A size that is NaN limits nothing, as in torch: of a vector only the entries that are NaN are lost. */
static void settle(const hyper *h, const sums *own, ptrdiff_t size, coefs *c)
{
    const double excess = fo_root(own->u_squares) / (sqrt((double)size) * h->clip_threshold);
    c->rate /= excess > 1.0 ? excess : 1.0;
}
#include "update/export_rule.h"
#else

/* By default the machine epsilon of the dtype; the default comes as NaN. */
FO_INLINE real FN(epsilon_1)(const FN(coefs) *c)
{
    return c->epsilon_1 == c->epsilon_1 ? c->epsilon_1 : (real)(sizeof(real) == sizeof(float) ? 0x1p-23 : 0x1p-52);
}

FO_INLINE real FN(modified)(real p, real g, const FN(coefs) *c) { return g + (c->decay != 0 ? c->decay * p : 0); }

/* An entry whose gradient is zero stays, though epsilon_1^2 may be zero in float32. */
FO_INLINE real FN(direction)(real g, real column_v, const FN(coefs) *c)
{
    const real v = c->row_scale * column_v, least = FN(epsilon_1)(c) * FN(epsilon_1)(c);
    return g == 0 ? g : g / SQRT(v < least ? least : v);
}

FO_INLINE void FN(measure)(real p, real g, FN(factors) *sum, const FN(coefs) *c, int form)
{
    const real decayed = FN(modified)(p, g, c);
    (void)form;
    PRODUCT(p_squares, p, p);
    PRODUCT(g_squares, decayed, decayed);
}

FO_INLINE real FN(update_line)(real mean, real v, const FN(coefs) *c) { return v + c->one_minus_beta_2 * (mean - v); }

FO_INLINE void FN(adjust_line)(real row_v, real mean, FN(coefs) *c)
{
    const real least = FN(epsilon_1)(c);
    c->row_scale = row_v / (mean < least ? least : mean);
}

FO_INLINE void FN(measure_between)(real p, real g, real column_v, FN(factors) *sum, const FN(coefs) *c, int form)
{
    const real u = FN(direction)(FN(modified)(p, g, c), column_v, c);
    (void)form;
    PRODUCT(u_squares, u, u);
}

FO_INLINE void FN(update)(real *p, real g, real column_v, const FN(coefs) *c, int form)
{
    const real u = FN(direction)(FN(modified)(*p, g, c), column_v, c);
    (void)form;
    *p = (c->decay_factor == 1 ? *p : *p * c->decay_factor) - c->rate * u;
}
#endif
