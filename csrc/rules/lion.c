/* lion.c -- Lion, evolved sign momentum (Chen et al. 2023, algorithm 2). */
#ifndef FO_VARIANT
#define RULE lion
#define RULE_FILE "rules/lion.c"
#define HYPER(X) X(beta_1) X(beta_2)
#define COEF(X) X(learning_rate) X(beta_1) X(one_minus_beta_1) X(beta_2) X(one_minus_beta_2)
#define SLOTS(X) X(m, always, 0)
#define MOMENTS(X) X(m)
#include "update/rule.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    c->learning_rate = step->learning_rate;
    c->beta_1 = h->beta_1;
    c->one_minus_beta_1 = 1.0 - h->beta_1;
    c->beta_2 = h->beta_2;
    c->one_minus_beta_2 = 1.0 - h->beta_2;
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(update)(real *p, real g, real *m, const FN(coefs) *c, int form)
{
    (void)form;
    const real direction = c->beta_1 * *m + c->one_minus_beta_1 * g;
    *p -= c->learning_rate * SIGN(direction);
    *m = c->beta_2 * *m + c->one_minus_beta_2 * g;
}
#endif
