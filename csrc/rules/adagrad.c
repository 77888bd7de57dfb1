/* adagrad.c -- Adagrad with a diagonal matrix (Duchi, Hazan & Singer 2011). */
#ifndef FO_VARIANT
#define RULE adagrad
#define RULE_FILE "rules/adagrad.c"
#define HYPER(X) X(initial_accumulator_value) X(epsilon) X(epsilon_root)
#define COEF(X) X(learning_rate) X(epsilon) X(epsilon_root) X(initial)
#define SLOTS(X) X(accumulator, always, c->initial)
#define SECOND_MOMENTS(X) X(accumulator)
#define ZERO_GRADIENT(form) FO_STAYS
#define RESTS_LINEAR
#include "update/rule.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    c->learning_rate = step->learning_rate;
    c->epsilon = h->epsilon;
    c->epsilon_root = h->epsilon_root;
    c->initial = h->initial_accumulator_value;
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(update)(real *p, real g, real *accumulator, const FN(coefs) *c, int form)
{
    (void)form;
    *accumulator += g * g;
    const real change = c->learning_rate * g / (SQRT(*accumulator + c->epsilon_root) + c->epsilon);
    *p = g == 0 ? *p : *p - change;   /* FO_STAYS: not 0 / 0 without epsilon, and the very bits of p */
}
#endif
