/* lamb.c -- LAMB (You et al. 2020, algorithm 2): the step of Adam, weight decay included, scaled for each array by the
 * ratio of the norms of the parameters and of that step. Decoupled weight decay comes before all that, as in Keras. */
#ifndef FO_VARIANT
#define RULE lamb
#define RULE_FILE "rules/lamb.c"
#define HYPER(X) X(beta_1) X(beta_2) X(epsilon) X(weight_decay) X(decoupled_weight_decay)
#define COEF(X) \
    X(beta_1) X(one_minus_beta_1) X(beta_2) X(one_minus_beta_2) X(m_scale) X(epsilon) X(decay) X(decay_factor) X(rate)
#define DECAY_FACTORS(X) X(decay_factor)
#define SLOTS(X) X(m, always, 0) X(v, always, 0)
#define SUMS(X) X(p_squares, before, array) X(u_squares, before, array)
#define OWN_WEIGHT_DECAY 1
#define ADJUSTS
#include "update/rule.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    const double bc1 = 1.0 - power_int(h->beta_1, step->t), bc2 = 1.0 - power_int(h->beta_2, step->t);
    c->beta_1 = h->beta_1;
    c->one_minus_beta_1 = 1.0 - h->beta_1;
    c->beta_2 = h->beta_2;
    c->one_minus_beta_2 = 1.0 - h->beta_2;
    c->m_scale = sqrt(bc2) / bc1;        /* both bias corrections, as in adam.c */
    c->epsilon = h->epsilon * sqrt(bc2);
    c->decay = h->decoupled_weight_decay ? 0.0 : h->weight_decay;
    c->decay_factor = h->decoupled_weight_decay ? 1.0 - step->learning_rate * h->weight_decay : 1.0;
    c->rate = step->learning_rate;
}

/* Where either norm is zero the ratio is 1, as in the paper's code and in optax. */
static void adjust(const hyper *h, const step_inputs *step, const sums *own, array_numbers *numbers, coefs *c)
{
    const double p_norm = fo_root(own->p_squares), u_norm = fo_root(own->u_squares);
    (void)h, (void)numbers;
    if (p_norm != 0 && u_norm != 0)      /* NaN goes on */
        c->rate = step->learning_rate * (p_norm / u_norm);
}
#include "update/export_rule.h"
#else

FO_INLINE real FN(direction)(real p, real g, real *m, real *v, const FN(coefs) *c)
{
    *m = c->beta_1 * *m + c->one_minus_beta_1 * g;
    *v = c->beta_2 * *v + c->one_minus_beta_2 * (g * g);
    return c->m_scale * *m / (SQRT(*v) + c->epsilon) + (c->decay != 0 ? c->decay * p : 0);
}

FO_INLINE void FN(measure)(real p, real g, real m, real v, FN(factors) *sum, const FN(coefs) *c, int form)
{
    const real decayed = c->decay_factor * p, u = FN(direction)(decayed, g, &m, &v, c);
    (void)form;
    PRODUCT(p_squares, decayed, decayed);
    PRODUCT(u_squares, u, u);
}

FO_INLINE void FN(update)(real *p, real g, real *m, real *v, const FN(coefs) *c, int form)
{
    (void)form;
    *p *= c->decay_factor;
    *p -= c->rate * FN(direction)(*p, g, m, v, c);
}
#endif
