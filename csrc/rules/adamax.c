/* adamax.c -- Adamax (Kingma & Ba 2015, algorithm 2). The paper has no epsilon: `epsilon` is Keras's, added
 * to u when it is used; `epsilon_max` is torch's and optax's, added to |g| inside the maximum. */
#ifndef FO_VARIANT
#define RULE adamax
#define RULE_FILE "rules/adamax.c"
#define HYPER(X) X(beta_1) X(beta_2) X(epsilon) X(epsilon_max)
#define COEF(X) X(beta_1) X(one_minus_beta_1) X(beta_2) X(step_size) X(epsilon) X(epsilon_max)
#define SLOTS(X) X(m, always, 0) X(u, always, 0)
#define MOMENTS(X) X(m) X(u)
#define FADES(X) X(m, c->beta_1, 0.0)
#define RESTS(X) X(u, c->beta_2, 0.0)
#include "update/rule.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    c->beta_1 = h->beta_1;
    c->one_minus_beta_1 = 1.0 - h->beta_1;
    c->beta_2 = h->beta_2;
    c->step_size = step->learning_rate / (1.0 - power_int(h->beta_1, step->t));
    c->epsilon = h->epsilon;
    c->epsilon_max = h->epsilon_max;
}
static double rest_ratio(const hyper *h, int form)
{
    (void)form;
    return h->beta_1 > 0.0 ? h->beta_1 / h->beta_2 : 0.0;
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(update)(real *p, real g, real *m, real *u, const FN(coefs) *c, int form)
{
    (void)form;
    *m = c->beta_1 * *m + c->one_minus_beta_1 * g;
    *u = MAX(c->beta_2 * *u, ABS(g) + c->epsilon_max);
    *p -= c->step_size * *m / (*u + c->epsilon);
}
#endif
