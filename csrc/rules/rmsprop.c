/* rmsprop.c -- RMSprop (Tieleman & Hinton 2012), centered (Graves 2013, section 4.2), with momentum.
 * `scaled_velocity`: as in sgd.c. `mean_grad` is exact, as its square may be nearly all of the mean square. */
#ifndef FO_VARIANT
#define RULE rmsprop
#define RULE_FILE "rules/rmsprop.c"
#define HYPER(X) X(rho) X(epsilon) X(epsilon_root) X(momentum) X(scaled_velocity)
#define OPTIONS(X) X(momentum) X(centered)
#define COEF(X) X(rho) X(one_minus_rho) X(epsilon) X(epsilon_root) X(momentum) X(grad_rate) X(velocity_rate)
#define SLOTS(X) X(mean_square, always, 0) X(mean_grad, centered, 0) X(velocity, momentum, 0)
#define MOMENTS(X) X(velocity)
#define SECOND_MOMENTS(X) X(mean_square)
#define ZERO_GRADIENT(form) ((form) & momentum ? FO_MOVES : FO_DECAYS)
#define ZERO_GRADIENT_FACTOR rho
#define RESTS_LINEAR
#include "update/rule.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    c->rho = h->rho;
    c->one_minus_rho = 1.0 - h->rho;
    c->epsilon = h->epsilon;
    c->epsilon_root = h->epsilon_root;
    c->momentum = h->momentum;
    c->grad_rate = h->momentum == 0 || h->scaled_velocity ? step->learning_rate : 1.0;
    c->velocity_rate = h->scaled_velocity ? 1.0 : step->learning_rate;
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(update)(real *p, real g, real *mean_square, real *mean_grad, real *velocity, const FN(coefs) *c,
                          int form)
{
    *mean_square = c->rho * *mean_square + c->one_minus_rho * (g * g);
    real variance = *mean_square;
    if (form & centered) {
        *mean_grad = c->rho * *mean_grad + c->one_minus_rho * g;
        variance -= *mean_grad * *mean_grad;
        variance = variance < 0 ? 0 : variance;   /* rounding can take it below zero; NaN stays NaN */
    }
    const real change = c->grad_rate * g / (SQRT(variance + c->epsilon_root) + c->epsilon);
    if (form & momentum)
        *velocity = c->momentum * *velocity + change;
    if (form & momentum)
        *p -= c->velocity_rate * *velocity;
    else
        *p = g == 0 ? *p : *p - change;       /* FO_DECAYS: not 0 / 0 without epsilon */
}
#endif
