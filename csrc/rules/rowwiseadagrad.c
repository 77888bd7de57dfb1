/* rowwiseadagrad.c -- Adagrad with one accumulator for each row of the parameter, which grows by the mean of the
 * squares of the row's gradient (the exact row-wise Adagrad of FBGEMM: Khudia et al. 2021; Mudigere et al. 2022). */
#ifndef FO_VARIANT
#define RULE rowwiseadagrad
#define RULE_FILE "rules/rowwiseadagrad.c"
#define HYPER(X) X(initial_accumulator_value) X(epsilon)
#define COEF(X) X(rate) X(epsilon) X(initial)
#define SLOTS(X)
#define ROW_SLOTS(X) X(accumulator, always, c->initial)
#define SUMS(X) X(g_squares, before, row)
#define ZERO_GRADIENT(form) FO_STAYS
#include "update/rule.h"

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    c->rate = step->learning_rate;
    c->epsilon = h->epsilon;
    c->initial = h->initial_accumulator_value;
}
#include "update/export_rule.h"
#else

FO_INLINE void FN(measure)(real p, real g, FN(factors) *sum, const FN(coefs) *c, int form)
{
    (void)p, (void)c, (void)form;
    PRODUCT(g_squares, g, g);
}

FO_INLINE void FN(adjust_row)(const sums *sum, ptrdiff_t width, real *accumulator, FN(coefs) *c)
{
    *accumulator += (real)(sum->g_squares.plain / (double)width);
    c->rate /= SQRT(*accumulator) + c->epsilon;
}

FO_INLINE void FN(update)(real *p, real g, const FN(coefs) *c, int form)
{
    (void)form;
    *p = g == 0 ? *p : *p - c->rate * g;   /* FO_STAYS: not 0 / 0 without epsilon, and the very bits of p */
}
#endif
