/* rowwiseadam.c -- Adam with one second moment for each row of the parameter, of the mean of the squares of the row's
 * gradient (the partial row-wise Adam of FBGEMM: Khudia et al. 2021). */
#ifndef FO_VARIANT
#define RULE rowwiseadam
#define RULE_FILE "rules/rowwiseadam.c"
#define HYPER(X) X(beta_1) X(beta_2) X(epsilon)
#define COEF(X) X(beta_1) X(one_minus_beta_1) X(beta_2) X(one_minus_beta_2) X(step_size) X(epsilon)
#define SLOTS(X) X(m, always, 0)
#define ROW_SLOTS(X) X(v, always, 0)
#define MOMENTS(X) X(m)
#define SUMS(X) X(g_squares, before, row)
#include "update/rule.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    const double bc1 = 1.0 - power_int(h->beta_1, step->t), bc2 = 1.0 - power_int(h->beta_2, step->t);
    c->beta_1 = h->beta_1;
    c->one_minus_beta_1 = 1.0 - h->beta_1;
    c->beta_2 = h->beta_2;
    c->one_minus_beta_2 = 1.0 - h->beta_2;
    c->step_size = step->learning_rate * sqrt(bc2) / bc1;   /* both bias corrections, as in adam.c */
    c->epsilon = h->epsilon * sqrt(bc2);
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(measure)(real p, real g, real m, FN(factors) *sum, const FN(coefs) *c, int form)
{
    (void)p, (void)m, (void)c, (void)form;
    PRODUCT(g_squares, g, g);
}

FO_INLINE void FN(adjust_row)(const sums *sum, ptrdiff_t width, real *v, FN(coefs) *c)
{
    *v = c->beta_2 * *v + c->one_minus_beta_2 * (real)(sum->g_squares.plain / (double)width);
    c->step_size /= SQRT(*v) + c->epsilon;
}

FO_INLINE void FN(update)(real *p, real g, real *m, const FN(coefs) *c, int form)
{
    (void)form;
    *m = c->beta_1 * *m + c->one_minus_beta_1 * g;
    *p -= c->step_size * *m;
}
#endif
