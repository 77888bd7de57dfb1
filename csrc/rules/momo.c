/* momo.c -- MoMo (Schaipp et al. 2024, algorithm 1): SGD with momentum, whose rate is the smaller of the learning rate
 * and a Polyak step, to where a model of the objective, from values and gradients of late, meets its lower bound. optax
 * makes no step where |m|^2 is below 2e-16; here, as in the paper, it is the learning rate that limits such steps.
 * `m` is exact: the model is a small difference of products with the parameters. */
#ifndef FO_VARIANT
#define RULE momo
#define RULE_FILE "rules/momo.c"
#define HYPER(X) X(beta) X(lower_bound) X(weight_decay)
#define CARRY(X) X(mean_value, 0) X(mean_gp, 0)
#define COEF(X) X(beta) X(one_minus_beta) X(rate) X(decay_factor)
#define DECAY_FACTORS(X) X(decay_factor)
#define SLOTS(X) X(m, always, 0)
#define SUMS(X) X(g_dot_p, before, array) X(m_dot_p, before, array) X(m_squares, before, array)
#define OWN_WEIGHT_DECAY 1
#define USES_VALUE 1
#include "update/rule.h"

/* min(limit, max(above, 0) / squares), where NaN stays NaN. */
static double polyak_rate(double above, fo_sum squares, double limit)
{
    const fo_scaled scaled = fo_scaled_sum(squares);
    const double rate = ldexp(above / scaled.value, -scaled.exponent);
    return above <= 0 ? 0.0 : rate > limit ? limit : rate;
}

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    const double beta = step->t == 1 ? 0.0 : h->beta, grown = 1.0 + step->learning_rate * h->weight_decay;
    carried *carry = step->carry;
    carry->mean_value = beta * carry->mean_value + (1.0 - beta) * step->value;
    carry->mean_gp = beta * carry->mean_gp + (1.0 - beta) * step->sum->g_dot_p.plain;
    const double above = grown * (carry->mean_value - h->lower_bound - carry->mean_gp) + step->sum->m_dot_p.plain;
    c->beta = beta;
    c->one_minus_beta = 1.0 - beta;
    c->rate = polyak_rate(above, step->sum->m_squares, step->learning_rate);
    c->decay_factor = 1.0 / grown;
}
#include "update/export_rule.h"
#else

FO_INLINE real FN(momentum)(real g, real m, const FN(coefs) *c) { return c->beta * m + c->one_minus_beta * g; }

FO_INLINE void FN(measure)(real p, real g, real m, FN(factors) *sum, const FN(coefs) *c, int form)
{
    (void)form;
    m = FN(momentum)(g, m, c);
    PRODUCT(g_dot_p, g, p);
    PRODUCT(m_dot_p, m, p);
    PRODUCT(m_squares, m, m);
}

FO_INLINE void FN(update)(real *p, real g, real *m, const FN(coefs) *c, int form)
{
    (void)form;
    *m = FN(momentum)(g, *m, c);
    *p = c->decay_factor * *p - c->rate * *m;
}
#endif
