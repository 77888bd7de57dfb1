/* prodigy.c -- Prodigy (Mishchenko & Defazio 2024, algorithm 4): Adam with the learning rate d, an estimate of the
 * distance to the solution, as the package prodigyopt has it. A step sums what the next one makes its d of, so there is
 * one pass only. prodigyopt takes the new d already in the epsilon of the step whose gradient it is from; here the old
 * one is there: where d grows, the step is larger by a share of at most (new d - old d) epsilon / sqrt(v). */
#ifndef FO_VARIANT
#define RULE prodigy
#define RULE_FILE "rules/prodigy.c"
#define HYPER(X) \
    X(beta_1) X(beta_2) X(beta_3) X(epsilon) X(d0) X(d_coef) X(growth_rate) X(use_bias_correction) X(safeguard_warmup) \
    X(weight_decay) X(decoupled_weight_decay)
#define CARRY(X) X(d, 0) X(d_max, 0) X(numerator, 0) X(rate, 0)
#define COEF(X) X(beta_1) X(m_gain) X(beta_2) X(v_gain) X(beta_3) X(s_gain) X(epsilon) X(rate) X(l2) X(decay_factor)
#define DECAY_FACTORS(X) X(decay_factor)
#define SLOTS(X) X(m, always, 0) X(v, always, 0) X(s, always, 0)
#define KEPT(X) X(p0, always, p)
#define SUMS(X) X(progress, during, array) X(s_norm, during, array)
#define OWN_WEIGHT_DECAY 1
#include "update/rule.h"

/* The estimate, of the sums of the last step. They are used as they are: where their products overflow, v has. */
static void estimate(const hyper *h, const sums *sum, double beta_3, carried *carry)
{
    double found;
    carry->numerator = beta_3 * carry->numerator + carry->d / h->d0 * carry->rate * sum->progress.plain;
    if (!(sum->s_norm.plain > 0))
        return;
    found = h->d_coef * carry->numerator / sum->s_norm.plain;
    if (carry->d == h->d0 && found > carry->d)
        carry->d = found;
    carry->d_max = found > carry->d_max ? found : carry->d_max;
    carry->d = carry->d_max < carry->d * h->growth_rate ? carry->d_max : carry->d * h->growth_rate;
}

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    const double beta_3 = h->beta_3 == h->beta_3 ? h->beta_3 : sqrt(h->beta_2);   /* NaN: none was given */
    const double bc1 = 1.0 - power_int(h->beta_1, step->t), bc2 = 1.0 - power_int(h->beta_2, step->t);
    carried *carry = step->carry;
    if (carry->d == 0)
        carry->d = carry->d_max = h->d0;
    else
        estimate(h, step->sum, beta_3, carry);
    carry->rate = carry->d * step->learning_rate * (h->use_bias_correction ? sqrt(bc2) / bc1 : 1.0);
    c->beta_1 = h->beta_1;
    c->m_gain = carry->d * (1.0 - h->beta_1);
    c->beta_2 = h->beta_2;
    c->v_gain = carry->d * carry->d * (1.0 - h->beta_2);
    c->beta_3 = beta_3;
    c->s_gain = carry->d / h->d0 * (h->safeguard_warmup ? carry->d : carry->rate);
    c->epsilon = carry->d * h->epsilon;
    c->rate = carry->rate;
    c->l2 = h->decoupled_weight_decay ? 0.0 : h->weight_decay;
    c->decay_factor = h->decoupled_weight_decay ? 1.0 - carry->rate * h->weight_decay : 1.0;
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(update)(real *p, real g, real *m, real *v, real *s, real p0, FN(factors) *sum, const FN(coefs) *c,
                          int form)
{
    (void)form;
    g += c->l2 != 0 ? c->l2 * *p : 0;
    *m = c->beta_1 * *m + c->m_gain * g;
    *v = c->beta_2 * *v + c->v_gain * (g * g);
    *s = c->beta_3 * *s + c->s_gain * g;
    PRODUCT(progress, g, p0 - *p);
    PRODUCT(s_norm, ABS(*s), 1);
    *p = c->decay_factor * *p - c->rate * *m / (SQRT(*v) + c->epsilon);
}
#endif
