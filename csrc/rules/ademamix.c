/* ademamix.c -- AdEMAMix (Pagliardini, Ablin & Grangier 2024, algorithm 1): Adam with a second, slow average of the
 * gradient, which is not corrected for its bias. Over the first `warmup_steps` steps its weight alpha rises on a line
 * from 0, and its decay from beta_1 on such that its half-life rises on a line. */
#ifndef FO_VARIANT
#define RULE ademamix
#define RULE_FILE "rules/ademamix.c"
#define HYPER(X) X(beta_1) X(beta_2) X(beta_3) X(alpha) X(warmup_steps) X(epsilon) X(epsilon_root)
#define COEF(X) \
    X(beta_1) X(one_minus_beta_1) X(beta_2) X(one_minus_beta_2) X(beta_3) X(one_minus_beta_3) \
    X(m_rate) X(slow_rate) X(epsilon) X(epsilon_root)
#define SLOTS(X) X(m, always, 0) X(m_slow, always, 0) X(v, always, 0)
#define MOMENTS(X) X(m) X(m_slow)
#define SECOND_MOMENTS(X) X(v)
#include "update/rule.h"

/* beta_3 of a step: exp(log b1 log b3 / ((1 - done) log b3 + done log b1)), at most b3; `done` is t / warmup_steps. */
static double warmed_up(double beta_1, double beta_3, double done)
{
    if (done >= 1.0 || beta_3 <= beta_1)
        return beta_3;
    const double ratio = beta_1 > 0.0 ? logarithm(beta_3) / logarithm(beta_1) : 0.0;
    return power(beta_3, 1.0 / ((1.0 - done) * ratio + done));
}

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    const double bc1 = 1.0 - power_int(h->beta_1, step->t), bc2 = 1.0 - power_int(h->beta_2, step->t);
    const double done = (double)step->t < h->warmup_steps ? (double)step->t / h->warmup_steps : 1.0;
    const double beta_3 = warmed_up(h->beta_1, h->beta_3, done);
    c->beta_1 = h->beta_1;
    c->one_minus_beta_1 = 1.0 - h->beta_1;
    c->beta_2 = h->beta_2;
    c->one_minus_beta_2 = 1.0 - h->beta_2;
    c->beta_3 = beta_3;
    c->one_minus_beta_3 = 1.0 - beta_3;
    c->m_rate = step->learning_rate * sqrt(bc2) / bc1;
    c->slow_rate = step->learning_rate * sqrt(bc2) * h->alpha * done;
    c->epsilon = h->epsilon * sqrt(bc2);
    c->epsilon_root = h->epsilon_root * bc2;
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(update)(real *p, real g, real *m, real *m_slow, real *v, const FN(coefs) *c, int form)
{
    (void)form;
    *m = c->beta_1 * *m + c->one_minus_beta_1 * g;
    *m_slow = c->beta_3 * *m_slow + c->one_minus_beta_3 * g;
    *v = c->beta_2 * *v + c->one_minus_beta_2 * (g * g);
    *p -= (c->m_rate * *m + c->slow_rate * *m_slow) / (SQRT(*v + c->epsilon_root) + c->epsilon);
}
#endif
