/* yogi.c -- Yogi (Zaheer et al. 2018, algorithm 2): v moves by at most (1 - beta_2) g^2 a step. The paper has
 * no bias correction; `bias_correction` adds Adam's. */
#ifndef FO_VARIANT
#define RULE yogi
#define RULE_FILE "rules/yogi.c"
#define HYPER(X) X(beta_1) X(beta_2) X(epsilon) X(initial_accumulator_value) X(bias_correction)
#define COEF(X) X(beta_1) X(one_minus_beta_1) X(one_minus_beta_2) X(step_size) X(epsilon) X(initial)
#define SLOTS(X) X(m, always, 0) X(v, always, c->initial)
#define MOMENTS(X) X(m)
#define SECOND_MOMENTS(X) X(v)
#define FADES(X) X(m, c->beta_1, 0.0)
#include "update/rule.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    const double bc1 = h->bias_correction ? 1.0 - power_int(h->beta_1, step->t) : 1.0;
    const double bc2 = h->bias_correction ? 1.0 - power_int(h->beta_2, step->t) : 1.0;
    c->beta_1 = h->beta_1;
    c->one_minus_beta_1 = 1.0 - h->beta_1;
    c->one_minus_beta_2 = 1.0 - h->beta_2;
    c->step_size = step->learning_rate * sqrt(bc2) / bc1;
    c->epsilon = h->epsilon * sqrt(bc2);
    c->initial = h->initial_accumulator_value;
}
static double rest_ratio(const hyper *h, int form)
{
    (void)form;
    return h->beta_1;
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(update)(real *p, real g, real *m, real *v, const FN(coefs) *c, int form)
{
    (void)form;
    const real square = g * g;
    *m = c->beta_1 * *m + c->one_minus_beta_1 * g;
    *v -= c->one_minus_beta_2 * SIGN(*v - square) * square;
    *p -= c->step_size * *m / (SQRT(*v) + c->epsilon);
}
#endif
