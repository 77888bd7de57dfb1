/* radam.c -- RAdam, rectified Adam (Liu et al. 2020, algorithm 2). While the variance of the adaptive rate is
 * not tractable (r_t <= threshold) the step is momentum alone: the denominator becomes 0 * sqrt(v) + 1. The
 * paper's text puts the threshold at 4, its authors' code and the frameworks at 5. */
#ifndef FO_VARIANT
#define RULE radam
#define RULE_FILE "rules/radam.c"
#define HYPER(X) X(beta_1) X(beta_2) X(epsilon) X(threshold) X(epsilon_hat)
#define COEF(X) X(beta_1) X(one_minus_beta_1) X(beta_2) X(one_minus_beta_2) X(step_size) X(adaptive) X(epsilon)
#define SLOTS(X) X(m, always, 0) X(v, always, 0)
#define MOMENTS(X) X(m)
#define SECOND_MOMENTS(X) X(v)
#define FADES(X) X(m, c->beta_1, 0.0)
#define RESTS(X) X(v, c->beta_2, 0.0)
#include "update/rule.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    const double b2t = power_int(h->beta_2, step->t), bc1 = 1.0 - power_int(h->beta_1, step->t), bc2 = 1.0 - b2t;
    const double r_inf = 2.0 / (1.0 - h->beta_2) - 1.0, r_t = r_inf - 2.0 * (double)step->t * b2t / bc2;
    const int tractable = r_t > h->threshold;
    const double rectified = sqrt((r_t - 4.0) * (r_t - 2.0) * r_inf / ((r_inf - 4.0) * (r_inf - 2.0) * r_t));
    c->beta_1 = h->beta_1;
    c->one_minus_beta_1 = 1.0 - h->beta_1;
    c->beta_2 = h->beta_2;
    c->one_minus_beta_2 = 1.0 - h->beta_2;
    c->step_size = step->learning_rate / bc1 * (tractable ? rectified * sqrt(bc2) : 1.0);
    c->adaptive = tractable;
    c->epsilon = tractable ? h->epsilon * (h->epsilon_hat ? 1.0 : sqrt(bc2)) : 1.0;
}
static double rest_ratio(const hyper *h, int form)
{
    (void)form;
    return h->beta_1 > 0.0 ? h->beta_1 / sqrt(h->beta_2) : 0.0;
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(update)(real *p, real g, real *m, real *v, const FN(coefs) *c, int form)
{
    (void)form;
    *m = c->beta_1 * *m + c->one_minus_beta_1 * g;
    *v = c->beta_2 * *v + c->one_minus_beta_2 * (g * g);
    const real root = c->adaptive > 0 ? SQRT(*v) : 0;   /* not a factor 0: `v` may have overflowed */
    *p -= c->step_size * *m / (root + c->epsilon);
}
#endif
