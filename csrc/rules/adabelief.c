/* adabelief.c -- AdaBelief (Zhuang et al. 2020, algorithm 2). As in the paper, epsilon is added to s in every
 * step; that one is `epsilon_root` here, and `epsilon` the one added to the root. */
#ifndef FO_VARIANT
#define RULE adabelief
#define RULE_FILE "rules/adabelief.c"
#define HYPER(X) X(beta_1) X(beta_2) X(epsilon) X(epsilon_root)
#define COEF(X) X(beta_1) X(one_minus_beta_1) X(beta_2) X(one_minus_beta_2) X(step_size) X(epsilon) X(epsilon_root)
#define SLOTS(X) X(m, always, 0) X(s, always, 0)
#define MOMENTS(X) X(m)
#define SECOND_MOMENTS(X) X(s)
#define FADES(X) X(m, c->beta_1, 0.0)
#define RESTS(X) X(s, c->beta_2, c->epsilon_root)
#include "update/rule.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    const double bc1 = 1.0 - power_int(h->beta_1, step->t), bc2 = 1.0 - power_int(h->beta_2, step->t);
    c->beta_1 = h->beta_1;
    c->one_minus_beta_1 = 1.0 - h->beta_1;
    c->beta_2 = h->beta_2;
    c->one_minus_beta_2 = 1.0 - h->beta_2;
    c->step_size = step->learning_rate * sqrt(bc2) / bc1;   /* folded as in adam.c */
    c->epsilon = h->epsilon * sqrt(bc2);
    c->epsilon_root = h->epsilon_root;
}
static double rest_ratio(const hyper *h, int form)
{
    (void)form;
    return h->beta_1 > 0.0 ? h->beta_1 / sqrt(h->beta_2) : 0.0;
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(update)(real *p, real g, real *m, real *s, const FN(coefs) *c, int form)
{
    (void)form;
    *m = c->beta_1 * *m + c->one_minus_beta_1 * g;
    const real surprise = g - *m;
    *s = c->beta_2 * *s + c->one_minus_beta_2 * (surprise * surprise) + c->epsilon_root;
    *p -= c->step_size * *m / (SQRT(*s) + c->epsilon);
}
#endif
