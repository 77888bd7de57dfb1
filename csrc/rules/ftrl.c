/* ftrl.c -- FTRL-Proximal, per coordinate (McMahan et al. 2013, algorithm 1; alpha is the learning rate).
 * The paper starts z at 0, which would throw a non-zero starting point away: here z starts where p is the
 * minimiser, so that a zero gradient leaves p in place. `n` is exact, as z has in it all that n has grown by. */
#ifndef FO_VARIANT
#define RULE ftrl
#define RULE_FILE "rules/ftrl.c"
#define HYPER(X) X(initial_accumulator_value) X(l1) X(l2) X(beta)
#define COEF(X) X(inverse_rate) X(l1) X(constant_term) X(initial)
#define SLOTS(X) \
    X(z, always, -p * (SQRT(c->initial) * c->inverse_rate + c->constant_term) - c->l1 * SIGN(p)) \
    X(n, always, c->initial)
#define FADES(X)
#include "update/rule.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    c->inverse_rate = 1.0 / step->learning_rate;
    c->l1 = h->l1;
    c->constant_term = h->beta / step->learning_rate + h->l2;
    c->initial = h->initial_accumulator_value;
}
static double rest_ratio(const hyper *h, int form)
{
    (void)h, (void)form;
    return 0.0;
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(update)(real *p, real g, real *z, real *n, const FN(coefs) *c, int form)
{
    (void)form;
    const real n_new = *n + g * g, root = SQRT(n_new);
    *z += g - (root - SQRT(*n)) * c->inverse_rate * *p;
    *n = n_new;
    const real shrunk = SOFT_THRESHOLD(*z, c->l1), weight = root * c->inverse_rate + c->constant_term;
    *p = weight == 0 ? *p : (0 - shrunk) / weight;   /* weight 0: no gradient yet; never -0 */
}
#endif
