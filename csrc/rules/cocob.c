/* cocob.c -- COCOB-Backprop, coin betting per coordinate (Orabona & Tommasi 2017, algorithm 2): p is p0 and a bet. The
 * paper has no learning rate; it is a weight of the gradient here, as in optax. L starts at `epsilon` and not at 0, as
 * in its authors' code and in optax. The bet's denominator L max(G + L, alpha L) is two divisions, where the product
 * would overflow early. */
#ifndef FO_VARIANT
#define RULE cocob
#define RULE_FILE "rules/cocob.c"
#define HYPER(X) X(alpha) X(epsilon)
#define COEF(X) X(learning_rate) X(alpha) X(epsilon)
#define SLOTS(X) X(theta, always, 0) X(G, always, 0) X(L, always, c->epsilon) X(R, always, 0)
#define KEPT(X) X(p0, always, p)
#define ZERO_GRADIENT(form) FO_STAYS
#define RESTS_LINEAR
#include "update/rule.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    c->learning_rate = step->learning_rate;
    c->alpha = h->alpha;
    c->epsilon = h->epsilon;
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(update)(real *p, real g, real *theta, real *G, real *L, real *R, real p0, const FN(coefs) *c,
                          int form)
{
    (void)form;
    g *= c->learning_rate;
    const real gained = MAX(0, *R - g * (*p - p0));
    *L = MAX(*L, ABS(g));
    *theta -= g;
    *G += ABS(g);
    *R = g == 0 ? *R : gained;   /* FO_STAYS: not 0 times an infinite parameter */
    const real share = *theta / MAX(*G + *L, c->alpha * *L), wealth = 1 + *R / *L;
    *p = g == 0 ? *p : p0 + share * wealth;   /* FO_STAYS: also where the caller has set p */
}
#endif
