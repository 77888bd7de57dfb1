/* schedulefreesgd.c -- schedule-free SGD (Defazio et al. 2024, arXiv:2405.15682, equations 3 to 5).
 * The parameter is the paper's y, at which gradients are taken. The average x = z + (y - z) / beta_1 is not kept: put
 * into y = beta_1 x + (1 - beta_1) z it leaves a step of y without division. y + c (z - y) rather than (1 - c) y + c z:
 * 1 - c rounded to float32 would shrink y by the same amount in every step. */
#ifndef FO_VARIANT
#define RULE schedulefreesgd
#define RULE_FILE "rules/schedulefreesgd.c"
#define HYPER(X) X(beta_1) X(warmup_steps) X(r) X(weight_power)
#define CARRY(X) X(averaged, 0.0) X(largest_rate, 0.0)
#define COEF(X) X(share) X(y_rate) X(z_rate)
#define SLOTS(X) X(z, always, p)
#define RESTS_LINEAR
#define RESTS_WITH_L2 1
#include "update/rule.h"
#include "rules/schedule_free.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    c->z_rate = warmed_up(h, step);
    c->share = share_of_average(h, step, c->z_rate);
    c->y_rate = c->z_rate * (1.0 - h->beta_1 * (1.0 - c->share));
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(update)(real *p, real g, real *z, const FN(coefs) *c, int form)
{
    (void)form;
    *p += c->share * (*z - *p) - c->y_rate * g;
    *z -= c->z_rate * g;
}
#endif
