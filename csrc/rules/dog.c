/* dog.c -- DoG (Ivgi, Hinder & Carmon 2023): SGD whose rate is the largest distance from the start so far, over the
 * root of the sum of squared gradient norms; of all arrays, or of each array for itself (L-DoG). The distance is that
 * which the last step left, for a step sums it as it goes: parameters that somebody else moves in between count a step
 * later. Both accumulators are kept as roots, so that no square overflows. */
#ifndef FO_VARIANT
#define RULE dog
#define RULE_FILE "rules/dog.c"
#define HYPER(X) X(reps_rel) X(epsilon) X(layerwise) X(gamma)
#define OPTIONS(X) X(averaging)
#define COEF(X) X(rate) X(weight) X(first)
#define SLOTS(X) X(average, averaging, p)
#define KEPT(X) X(p0, always, p)
#define ARRAY_SLOTS(X) X(distance, always, 0) X(grad_norm, always, 0)
#define SUMS(X) X(start_squares, before, array) X(g_squares, before, array) X(moved_squares, during, array)
#define ADJUSTS
#include "update/rule.h"

/* sqrt(a^2 + b^2) for a, b >= 0; libm's hypot differs from one to another. */
static double hypotenuse(double a, double b)
{
    const double larger = a < b ? b : a, smaller = a < b ? a : b;
    return larger == 0 ? smaller : larger * sqrt(1.0 + smaller / larger * (smaller / larger));
}

static void prepare(const hyper *h, const step_inputs *step, coefs *c)
{
    c->rate = step->learning_rate;
    c->weight = (h->gamma + 1.0) / (h->gamma + (double)step->t);
    c->first = step->t == 1;
}

static void adjust(const hyper *h, const step_inputs *step, const sums *own, array_numbers *numbers, coefs *c)
{
    const sums *over = h->layerwise ? own : step->sum;
    const double start = h->reps_rel * (1.0 + fo_root(over->start_squares));
    const double moved = fo_root(over->moved_squares), before = numbers->distance == 0 ? start : numbers->distance;
    numbers->distance = moved <= before || isnan(before) ? before : moved;
    numbers->grad_norm = hypotenuse(numbers->grad_norm, fo_root(over->g_squares));
    c->rate = step->learning_rate * (numbers->distance / hypotenuse(numbers->grad_norm, sqrt(h->epsilon)));
}
#include "update/export_rule.h"
#else

/* The norm of the starting point is wanted in the first step alone: a scalar decides, so others do not read it. */
FO_INLINE void FN(measure)(real p, real g, real average, real p0, FN(factors) *sum, const FN(coefs) *c, int form)
{
    const real start = c->first > 0 ? p0 : 0;
    (void)p, (void)average, (void)form;
    PRODUCT(start_squares, start, start);
    PRODUCT(g_squares, g, g);
}

FO_INLINE void FN(update)(real *p, real g, real *average, real p0, FN(factors) *sum, const FN(coefs) *c, int form)
{
    *p -= c->rate * g;
    const real moved = *p - p0;
    PRODUCT(moved_squares, moved, moved);
    if (form & averaging)
        *average += c->weight * (*p - *average);
}
#endif
