/* schedulefreeadamw.c -- schedule-free AdamW (Defazio et al. 2024, arXiv:2405.15682, algorithm 1).
 * The parameter is the paper's y; schedulefreesgd.c says how the average is left out. The bias correction is folded
 * into the scalars as in adam.c. Weight decay is taken at y and moves z, as in the paper; not decoupled, it joins the
 * gradient. */
#ifndef FO_VARIANT
#define RULE schedulefreeadamw
#define RULE_FILE "rules/schedulefreeadamw.c"
#define OWN_WEIGHT_DECAY 1
#define HYPER(X) \
    X(beta_1) X(beta_2) X(epsilon) X(warmup_steps) X(r) X(weight_power) X(weight_decay) X(decoupled_weight_decay)
#define CARRY(X) X(averaged, 0.0) X(largest_rate, 0.0)
#define COEF(X) \
    X(beta_2) X(one_minus_beta_2) X(epsilon) X(share) X(y_rate) X(z_rate) X(l2) X(decay)
#define DECAY_AMOUNTS(X) X(decay, z_rate)
#define SLOTS(X) X(z, always, p) X(v, always, 0)
#define SECOND_MOMENTS(X) X(v)
#define RESTS_LINEAR
#include "update/rule.h"
#include "rules/schedule_free.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    const double rate = warmed_up(h, step), root = sqrt(1.0 - power_int(h->beta_2, step->t));
    c->beta_2 = h->beta_2;
    c->one_minus_beta_2 = 1.0 - h->beta_2;
    c->epsilon = h->epsilon * root;
    c->share = share_of_average(h, step, rate);
    c->z_rate = rate * root;
    c->y_rate = c->z_rate * (1.0 - h->beta_1 * (1.0 - c->share));
    c->l2 = h->decoupled_weight_decay ? 0.0 : h->weight_decay;
    c->decay = h->decoupled_weight_decay ? h->weight_decay / root : 0.0;   /* z_rate has the root */
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(update)(real *p, real g, real *z, real *v, const FN(coefs) *c, int form)
{
    (void)form;
    g += c->l2 != 0 ? c->l2 * *p : 0;   /* not 0 * p, which is NaN for an infinite p */
    *v = c->beta_2 * *v + c->one_minus_beta_2 * (g * g);
    real u = g / (SQRT(*v) + c->epsilon);
    u += c->decay != 0 ? c->decay * *p : 0;
    *p += c->share * (*z - *p) - c->y_rate * u;
    *z -= c->z_rate * u;
}
#endif
