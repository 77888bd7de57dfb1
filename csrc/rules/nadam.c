/* nadam.c -- NAdam, Adam with Nesterov's momentum (Dozat 2016), with the paper's momentum schedule
 * mu_t = beta_1 (1 - 0.96^(t momentum_decay) / 2); 0.96 is a constant of the paper.
 * As in torch and Keras m decays with beta_1, and only the look-ahead uses mu_t. In the paper's algorithm 2 m has
 * the schedule, too: m_t = mu_t m_{t-1} + (1 - mu_t) g_t. With momentum_decay = inf mu_t is beta_1: both agree. */
#ifndef FO_VARIANT
#define RULE nadam
#define RULE_FILE "rules/nadam.c"
#define HYPER(X) X(beta_1) X(beta_2) X(epsilon) X(momentum_decay)
#define CARRY(X) X(mu_product, 1.0)
#define COEF(X) X(beta_1) X(one_minus_beta_1) X(beta_2) X(one_minus_beta_2) X(m_rate) X(grad_rate) X(epsilon)
#define SLOTS(X) X(m, always, 0) X(v, always, 0)
#define MOMENTS(X) X(m)
#define SECOND_MOMENTS(X) X(v)
#define FADES(X) X(m, c->beta_1, 0.0)
#define RESTS(X) X(v, c->beta_2, 0.0)
#include "update/rule.h"

static double momentum_at(const hyper *h, int64_t t)
{
    return h->beta_1 * (1.0 - 0.5 * power(0.96, (double)t * h->momentum_decay));
}

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    const double mu = momentum_at(h, step->t), mu_next = momentum_at(h, step->t + 1);
    const double product = step->carry->mu_product * mu, bc2 = 1.0 - power_int(h->beta_2, step->t);
    const double step_size = step->learning_rate * sqrt(bc2);   /* folded as in adam.c */
    c->beta_1 = h->beta_1;
    c->one_minus_beta_1 = 1.0 - h->beta_1;
    c->beta_2 = h->beta_2;
    c->one_minus_beta_2 = 1.0 - h->beta_2;
    c->m_rate = step_size * mu_next / (1.0 - product * mu_next);
    c->grad_rate = step_size * (1.0 - mu) / (1.0 - product);
    c->epsilon = h->epsilon * sqrt(bc2);
    step->carry->mu_product = product;
}
static double rest_ratio(const hyper *h, int form)
{
    (void)form;
    return h->beta_1 > 0.0 ? h->beta_1 / sqrt(h->beta_2) : 0.0;
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(update)(real *p, real g, real *m, real *v, const FN(coefs) *c, int form)
{
    (void)form;
    *m = c->beta_1 * *m + c->one_minus_beta_1 * g;
    *v = c->beta_2 * *v + c->one_minus_beta_2 * (g * g);
    *p -= (c->m_rate * *m + c->grad_rate * g) / (SQRT(*v) + c->epsilon);
}
#endif
