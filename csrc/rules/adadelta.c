/* adadelta.c -- Adadelta (Zeiler 2012, algorithm 1); the ratio of the two roots is taken as one root. They are
 * no second moments to codes: each step is made of those before, so that what coarse codes add would compound. */
#ifndef FO_VARIANT
#define RULE adadelta
#define RULE_FILE "rules/adadelta.c"
#define HYPER(X) X(rho) X(epsilon)
#define COEF(X) X(learning_rate) X(rho) X(one_minus_rho) X(epsilon)
#define SLOTS(X) X(accumulator, always, 0) X(delta_accumulator, always, 0)
#define MOMENTS(X) X(accumulator) X(delta_accumulator)
#define ZERO_GRADIENT(form) FO_DECAYS
#define ZERO_GRADIENT_FACTOR rho
#define RESTS_LINEAR
#include "update/rule.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    c->learning_rate = step->learning_rate;
    c->rho = h->rho;
    c->one_minus_rho = 1.0 - h->rho;
    c->epsilon = h->epsilon;
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(update)(real *p, real g, real *accumulator, real *delta_accumulator, const FN(coefs) *c, int form)
{
    (void)form;
    *accumulator = c->rho * *accumulator + c->one_minus_rho * (g * g);
    const real ratio = (*delta_accumulator + c->epsilon) / (*accumulator + c->epsilon);
    const real delta = g == 0 ? 0 : SQRT(ratio) * g;   /* FO_DECAYS: not 0 / 0 without epsilon */
    *delta_accumulator = c->rho * *delta_accumulator + c->one_minus_rho * (delta * delta);
    *p -= c->learning_rate * delta;
}
#endif
