/* asgd.c -- averaged SGD (Polyak & Juditsky 1992) with the decaying rate and averaging start of torch:
 * eta = learning_rate / (1 + lambd learning_rate (t - 1))^alpha, averaging from step t0 on. */
#ifndef FO_VARIANT
#define RULE asgd
#define RULE_FILE "rules/asgd.c"
#define HYPER(X) X(lambd) X(alpha) X(t0)
#define COEF(X) X(decay) X(eta) X(mu) X(one_minus_mu)
#define DECAY_FACTORS(X) X(decay)
#define SLOTS(X) X(average, always, p)
#define RESTS_LINEAR
#define RESTS_WITH_L2 1
#include "update/rule.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    const double past = (double)(step->t - 1), averaged = past - h->t0;
    const double eta = step->learning_rate / power(1.0 + h->lambd * step->learning_rate * past, h->alpha);
    c->decay = 1.0 - h->lambd * eta;
    c->eta = eta;
    c->mu = averaged > 1.0 ? 1.0 / averaged : 1.0;
    c->one_minus_mu = 1.0 - c->mu;
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(update)(real *p, real g, real *average, const FN(coefs) *c, int form)
{
    (void)form;
    *p = c->decay * *p - c->eta * g;
    *average = c->one_minus_mu * *average + c->mu * *p;   /* exactly p while mu is 1 */
}
#endif
