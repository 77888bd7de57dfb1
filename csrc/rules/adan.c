/* adan.c -- Adan, adaptive Nesterov momentum (Xie et al. 2022, algorithm 1; its betas are one minus these). Weight
 * decay divides the new parameter as in the paper, or multiplies the old one. The paper starts the moments at g_1
 * where its authors' code, pytorch-optimizer and optax start them at 0 and correct the bias, as is done here: folded
 * into the scalars, which leaves one root and one division per element. */
#ifndef FO_VARIANT
#define RULE adan
#define RULE_FILE "rules/adan.c"
#define OWN_WEIGHT_DECAY 1
#define HYPER(X) X(beta_1) X(beta_2) X(beta_3) X(epsilon) X(weight_decay) X(decoupled_weight_decay)
#define COEF(X) \
    X(beta_1) X(one_minus_beta_1) X(beta_2) X(one_minus_beta_2) X(beta_3) X(one_minus_beta_3) \
    X(m_rate) X(d_rate) X(epsilon) X(before) X(after)
#define DECAY_FACTORS(X) X(before) X(after)
#define SLOTS(X) X(m, always, 0) X(d, always, 0) X(v, always, 0) X(prev_grad, always, 0)
#define MOMENTS(X) X(m) X(d) X(prev_grad)
#define SECOND_MOMENTS(X) X(v)
#define FADES(X) X(m, c->beta_1, 0.0) X(d, c->beta_2, 0.0) X(prev_grad, 0.0, 0.0)
#define RESTS(X) X(v, c->beta_3, 0.0)
#define REST_DECAY (c->before * c->after)
#define RESTS_WITH_L2 1
#include "update/rule.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    const double bc1 = 1.0 - power_int(h->beta_1, step->t), bc2 = 1.0 - power_int(h->beta_2, step->t);
    const double bc3 = 1.0 - power_int(h->beta_3, step->t), decay = step->learning_rate * h->weight_decay;
    const int has_previous = step->t > 1;   /* the first difference counts as 0, as it has no gradient before it */
    c->beta_1 = h->beta_1;
    c->one_minus_beta_1 = 1.0 - h->beta_1;
    c->beta_2 = has_previous ? h->beta_2 : 0.0;
    c->one_minus_beta_2 = has_previous ? 1.0 - h->beta_2 : 0.0;
    c->beta_3 = h->beta_3;
    c->one_minus_beta_3 = 1.0 - h->beta_3;
    c->m_rate = step->learning_rate * sqrt(bc3) / bc1;
    c->d_rate = step->learning_rate * sqrt(bc3) / bc2 * h->beta_2;
    c->epsilon = h->epsilon * sqrt(bc3);
    c->before = h->decoupled_weight_decay ? 1.0 - decay : 1.0;
    c->after = h->decoupled_weight_decay ? 1.0 : 1.0 / (1.0 + decay);
}
static double rest_ratio(const hyper *h, int form)
{
    const double slower = h->beta_1 > h->beta_2 ? h->beta_1 : h->beta_2;
    (void)form;
    return slower > 0.0 ? slower / sqrt(h->beta_3) : 0.0;
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(update)(real *p, real g, real *m, real *d, real *v, real *prev_grad, const FN(coefs) *c, int form)
{
    (void)form;
    const real difference = g - *prev_grad, ahead = g + c->beta_2 * difference;
    *m = c->beta_1 * *m + c->one_minus_beta_1 * g;
    *d = c->beta_2 * *d + c->one_minus_beta_2 * difference;
    *v = c->beta_3 * *v + c->one_minus_beta_3 * (ahead * ahead);
    *prev_grad = g;
    const real change = (c->m_rate * *m + c->d_rate * *d) / (SQRT(*v) + c->epsilon);
    *p = (c->before * *p - change) * c->after;
}
#endif
