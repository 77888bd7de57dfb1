/* adam.c -- Adam (Kingma & Ba 2015, algorithm 1) and AMSGrad (Reddi, Kale & Kumar 2018). AdamW is this rule
 * with the driver's decoupled weight decay. Both bias corrections are folded into the scalars, which
 * leaves one root and one division per element; `epsilon_hat` leaves epsilon out of the folding. */
#ifndef FO_VARIANT
#define RULE adam
#define RULE_FILE "rules/adam.c"
#define HYPER(X) X(beta_1) X(beta_2) X(epsilon) X(epsilon_root) X(epsilon_hat)
#define OPTIONS(X) X(amsgrad)
#define COEF(X) X(beta_1) X(one_minus_beta_1) X(beta_2) X(one_minus_beta_2) X(step_size) X(epsilon) X(epsilon_root) \
    X(root_decay)
#define SLOTS(X) X(m, always, 0) X(v, always, 0) X(v_max, amsgrad, 0)
#define MOMENTS(X) X(m) X(v_max)
#define SECOND_MOMENTS(X) X(v)
#define FADES(X) X(m, c->beta_1, 0.0)
#define RESTS(X) X(v, c->beta_2, 0.0)
#define REST_BY_ROOT (h->epsilon_root == 0.0)
#include "update/rule.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    const double bc1 = 1.0 - power_int(h->beta_1, step->t), bc2 = 1.0 - power_int(h->beta_2, step->t);
    c->beta_1 = h->beta_1;
    c->one_minus_beta_1 = 1.0 - h->beta_1;
    c->beta_2 = h->beta_2;
    c->one_minus_beta_2 = 1.0 - h->beta_2;
    c->step_size = step->learning_rate * sqrt(bc2) / bc1;
    c->root_decay = sqrt(h->beta_2);
    c->epsilon = h->epsilon * (h->epsilon_hat ? 1.0 : sqrt(bc2));
    c->epsilon_root = h->epsilon_root * (h->epsilon_hat ? 1.0 : bc2);
}
static double rest_ratio(const hyper *h, int form)
{
    return (form & amsgrad) || h->beta_1 == 0.0 ? h->beta_1 : h->beta_1 / sqrt(h->beta_2);
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(update)(real *p, real g, real *m, real *v, real *v_max, const FN(coefs) *c, int form)
{
    *m = c->beta_1 * *m + c->one_minus_beta_1 * g;
    *v = c->beta_2 * *v + c->one_minus_beta_2 * (g * g);
    *v_max = form & amsgrad ? MAX(*v_max, *v) : *v;
    *p -= c->step_size * *m / (SQRT(*v_max + c->epsilon_root) + c->epsilon);
}

/* Without a gradient the root decays, too, or stays: see catch_up_tmpl.h. */
FO_INLINE real FN(rest_root)(int form, real m, real v, real v_max)
{
    (void)m;
    return SQRT(form & amsgrad ? MAX(v_max, v) : v);
}

FO_INLINE void FN(rest)(real *p, real *m, real *v, real *v_max, real *root, const FN(coefs) *c, int form)
{
    *m *= c->beta_1;
    *v *= c->beta_2;
    *v_max = form & amsgrad ? MAX(*v_max, *v) : *v;
    *root *= form & amsgrad ? 1 : c->root_decay;
    *p -= c->step_size * *m / (*root + c->epsilon);
}
#endif
