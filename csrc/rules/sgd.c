/* sgd.c -- stochastic gradient descent (Robbins & Monro 1951), with momentum (Polyak 1964) and Nesterov's
 * look-ahead (Sutskever et al. 2013). `scaled_velocity` says whether the learning rate is in the velocity
 * (the papers, Keras) or applied when it is used (torch): the two differ once the rate changes. */
#ifndef FO_VARIANT
#define RULE sgd
#define RULE_FILE "rules/sgd.c"
#define HYPER(X) X(momentum) X(dampening) X(scaled_velocity)
#define OPTIONS(X) X(momentum) X(nesterov)
#define COEF(X) X(momentum) X(grad_rate) X(velocity_rate)
#define SLOTS(X) X(velocity, momentum, 0)
#define MOMENTS(X) X(velocity)
#define ZERO_GRADIENT(form) ((form) & momentum ? FO_MOVES : FO_STAYS)
#define RESTS_LINEAR
#define RESTS_WITH_L2 1
#include "update/rule.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    const int plain = h->momentum == 0;
    const double damping = step->t == 1 ? 1.0 : 1.0 - h->dampening;   /* the first velocity is g: torch */
    c->momentum = h->momentum;
    c->grad_rate = plain || h->scaled_velocity ? step->learning_rate : 1.0;
    c->grad_rate *= plain ? 1.0 : damping;
    c->velocity_rate = h->scaled_velocity ? 1.0 : step->learning_rate;
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(update)(real *p, real g, real *velocity, const FN(coefs) *c, int form)
{
    const real change = c->grad_rate * g;
    if (!(form & momentum)) {
        *p = g == 0 ? *p : *p - change;   /* FO_STAYS: the very bits of p, subnormal ones too */
        return;
    }
    *velocity = c->momentum * *velocity + change;
    *p -= c->velocity_rate * (form & nesterov ? c->momentum * *velocity + change : *velocity);
}
#endif
