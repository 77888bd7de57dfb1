/* adopt.c -- ADOPT with clipping (Taniguchi et al. 2024, algorithm 2): the gradient is divided by the second moment
 * before it, and then averaged. The first step only fills v. The paper counts the others from 1 for its clipping bound
 * t^(1/4), hence a `clip_delay` of 1; pytorch-optimizer counts all steps. */
#ifndef FO_VARIANT
#define RULE adopt
#define RULE_FILE "rules/adopt.c"
#define HYPER(X) X(beta_1) X(beta_2) X(epsilon) X(clip_exponent) X(clip_delay)
#define COEF(X) \
    X(learning_rate) X(beta_1) X(one_minus_beta_1) X(beta_2) X(one_minus_beta_2) X(epsilon) X(bound) X(first)
#define SLOTS(X) X(m, always, 0) X(v, always, 0)
#define MOMENTS(X) X(m)
#define SECOND_MOMENTS(X) X(v)
#define RESTS_LINEAR
#include "update/rule.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    const int first = step->t == 1;
    c->learning_rate = step->learning_rate;
    c->beta_1 = h->beta_1;
    c->one_minus_beta_1 = 1.0 - h->beta_1;
    c->beta_2 = first ? 0.0 : h->beta_2;
    c->one_minus_beta_2 = first ? 1.0 : 1.0 - h->beta_2;
    c->epsilon = h->epsilon;
    c->bound = first || h->clip_exponent == HUGE_VAL ? HUGE_VAL
                                                     : power((double)step->t - h->clip_delay, h->clip_exponent);
    c->first = first;
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(update)(real *p, real g, real *m, real *v, const FN(coefs) *c, int form)
{
    (void)form;
    const real ratio = g / MAX(c->epsilon, SQRT(*v));
    const real clipped = ratio > c->bound ? c->bound : ratio < -c->bound ? -c->bound : ratio;
    *m = c->first > 0 ? *m : c->beta_1 * *m + c->one_minus_beta_1 * clipped;
    *p = c->first > 0 ? *p : *p - c->learning_rate * *m;
    *v = c->beta_2 * *v + c->one_minus_beta_2 * (g * g);
}
#endif
