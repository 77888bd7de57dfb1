/* lars.c -- LARS, SGD with momentum and a rate of its own for each array (You, Gitman & Ginsburg 2017, algorithm 1):
 * the ratio of the norms of parameters and gradient, weight decay included, times the trust coefficient. */
#ifndef FO_VARIANT
#define RULE lars
#define RULE_FILE "rules/lars.c"
#define HYPER(X) X(momentum) X(trust_coefficient) X(epsilon) X(weight_decay)
#define OPTIONS(X) X(nesterov)
#define COEF(X) X(momentum) X(rate) X(decay)
#define SLOTS(X) X(velocity, always, 0)
#define MOMENTS(X) X(velocity)
#define SUMS(X) X(p_squares, before, array) X(g_squares, before, array)
#define OWN_WEIGHT_DECAY 1
#define ADJUSTS
#include "update/rule.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    c->momentum = h->momentum;
    c->rate = step->learning_rate;
    c->decay = h->weight_decay;
}

/* An array that is zero, or whose gradient is, takes the rate as it is, as in the paper's code and in optax. */
static void adjust(const hyper *h, const step_inputs *step, const sums *own, array_numbers *numbers, coefs *c)
{
    const double p_norm = fo_root(own->p_squares), g_norm = fo_root(own->g_squares);
    const double below = g_norm + h->weight_decay * p_norm + h->epsilon;
    (void)numbers;
    if (p_norm != 0 && g_norm != 0)      /* NaN goes on */
        c->rate = step->learning_rate * (h->trust_coefficient * p_norm / below);
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(measure)(real p, real g, real velocity, FN(factors) *sum, const FN(coefs) *c, int form)
{
    (void)velocity, (void)c, (void)form;
    PRODUCT(p_squares, p, p);
    PRODUCT(g_squares, g, g);
}

FO_INLINE void FN(update)(real *p, real g, real *velocity, const FN(coefs) *c, int form)
{
    const real change = c->rate * (g + c->decay * *p);
    *velocity = c->momentum * *velocity + change;
    *p -= form & nesterov ? c->momentum * *velocity + change : *velocity;
}
#endif
