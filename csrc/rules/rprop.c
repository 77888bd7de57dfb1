/* rprop.c -- Rprop (Riedmiller & Braun 1993) in the form iRprop- (Igel & Huesken 2000): after a change of
 * sign the entry rests for one step, without backtracking. The learning rate is the first step size only. */
#ifndef FO_VARIANT
#define RULE rprop
#define RULE_FILE "rules/rprop.c"
#define HYPER(X) X(eta_minus) X(eta_plus) X(step_min) X(step_max)
#define COEF(X) X(eta_minus) X(eta_plus) X(step_min) X(step_max) X(initial)
#define SLOTS(X) X(prev_grad, always, 0) X(step_size, always, c->initial)
#define MOMENTS(X) X(prev_grad) X(step_size)
#define FADES(X)
#include "update/rule.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    c->eta_minus = h->eta_minus;
    c->eta_plus = h->eta_plus;
    c->step_min = h->step_min;
    c->step_max = h->step_max;
    c->initial = step->learning_rate;
}
static double rest_ratio(const hyper *h, int form)
{
    (void)h, (void)form;
    return 0.0;
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(update)(real *p, real g, real *prev_grad, real *step_size, const FN(coefs) *c, int form)
{
    (void)form;
    const real agreement = SIGN(g) * SIGN(*prev_grad);   /* of the signs: g * prev_grad can underflow */
    const real longer = MIN(*step_size * c->eta_plus, c->step_max);
    const real shorter = MAX(*step_size * c->eta_minus, c->step_min);
    *step_size = agreement > 0 ? longer : agreement < 0 ? shorter : *step_size;
    g = agreement < 0 ? 0 : g;
    *p -= SIGN(g) * *step_size;
    *prev_grad = g;
}
#endif
