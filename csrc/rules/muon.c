/* muon.c -- Muon (Jordan et al. 2024): momentum, made orthogonal by five steps of the Newton-Schulz iteration; with the
 * mean of gradients, the order of weight decay and the factors of the rate of torch. */
#ifndef FO_VARIANT
#define RULE muon
#define RULE_FILE "rules/muon.c"
#define HYPER(X) \
    X(momentum) X(nesterov) X(match_rms_adamw) X(ns_steps) X(ns_a) X(ns_b) X(ns_c) X(epsilon)
#define COEF(X) \
    X(momentum) X(one_minus_momentum) X(of_g) X(of_m) X(rate) X(ns_steps) X(ns_a) X(ns_b) X(ns_c) X(epsilon)
#define SLOTS(X) X(m, always, 0)
#define MOMENTS(X) X(m)
#define ADJUSTS
#define ORTHOGONALISES 1
#include "update/rule.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    c->momentum = h->momentum;
    c->one_minus_momentum = 1.0 - h->momentum;
    c->of_g = h->nesterov ? c->one_minus_momentum : 0.0;
    c->of_m = h->nesterov ? h->momentum : 1.0;
    c->rate = step->learning_rate;
    c->ns_steps = h->ns_steps;
    c->ns_a = h->ns_a;
    c->ns_b = h->ns_b;
    c->ns_c = h->ns_c;
    c->epsilon = h->epsilon;
}

/* By the shape of the matrix; 0.2 is about the root of the mean square of AdamW's steps (Liu et al. 2025). */
static void adjust(const hyper *h, const step_inputs *step, const sums *own, array_numbers *numbers, coefs *c)
{
    const double rows = (double)step->rows, columns = (double)step->columns;
    (void)own, (void)numbers;
    if (h->match_rms_adamw != 0)
        c->rate *= 0.2 * sqrt(rows > columns ? rows : columns);
    else if (rows > columns)
        c->rate *= sqrt(rows / columns);
}
#include "update/export_rule.h"
#else

FO_INLINE real FN(direct)(real g, real *m, const FN(coefs) *c, int form)
{
    (void)form;
    *m = c->momentum * *m + c->one_minus_momentum * g;
    return c->of_g * g + c->of_m * *m;
}

FO_INLINE void FN(update)(real *p, real x, real *m, const FN(coefs) *c, int form)
{
    (void)m, (void)form;
    *p -= c->rate * x;
}
#endif
