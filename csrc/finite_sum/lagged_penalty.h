/* lagged_penalty.h -- l1 and l2 on parameters whose columns few samples touch, in time proportional to the touches.
 *
 * A column that no sample touches for a while only shrinks. The steps that it missed are made up for by one lagged
 * update when it is read the next time, in closed form, from tables over the steps of a segment. */
#ifndef FO_LAGGED_PENALTY_H
#define FO_LAGGED_PENALTY_H

#include "fastopt.h"

/* How the penalties act on the parameters of an optimizer.
 *   FO_NO_PENALTY
 *   FO_PROXIMAL         each step: w = soft((1 - rate l2) w, rate l1), the decay before the gradient, the threshold
 *                       after it (Duchi & Singer 2009; Langford, Li & Zhang 2009)
 *   FO_FLOW             each step: the flow w' = -l2 w - l1 sign(w) of the penalty, its exact solution over the time
 *                       rate / H, H = sqrt(accumulator + root) + epsilon: Adagrad's own steps with ever smaller ones
 *   FO_CLOSED_FORM      the rule gives w from its state and the penalties so far: FTRL (McMahan 2011)
 *   FO_LAGGED_GRADIENT  a touched column's gradient has that of the penalties, times the steps since it was touched */
typedef enum { FO_NO_PENALTY, FO_PROXIMAL, FO_FLOW, FO_CLOSED_FORM, FO_LAGGED_GRADIENT } fo_penalty_kind;

/* The tables have an entry for the start of a segment, and one more for each of its steps. All arrays are the caller's;
 * those of parameters have n_columns x width entries of the dtype. */
typedef struct {
    fo_penalty_kind kind;
    double l2, l1;
    ptrdiff_t n_columns, width;  /* of the penalised parameters: a row of `width` entries for each column */
    int dtype;
    void *param;                 /* written */
    int64_t *last_update;        /* n_columns: the step after whose gradient each was left; written; or NULL */
    int64_t start;               /* the number of the step with which the segment begins */
    const double *weight_scale;  /* FO_PROXIMAL: product of 1 - rate l2 over the steps before */
    const double *cumulative_penalty;   /* FO_PROXIMAL: sum of rate l1 / weight_scale; FO_FLOW: sum of the rates */
    const void *accumulator;     /* FO_FLOW: like param */
    double epsilon, epsilon_root;       /* FO_FLOW: those of the optimizer */
} fo_penalty;

/* Whether columns that no sample touches are behind until their lagged update. */
static inline int fo_is_lagged(const fo_penalty *penalty)
{
    return penalty->kind == FO_PROXIMAL || penalty->kind == FO_FLOW;
}

/* Lagged updates: columns [lo, hi) of a list, or all of [lo, hi) without one, become what they are before the gradient
 * of step t. */
void fo_lagged_update(const fo_penalty *penalty, const void *columns, int index64, ptrdiff_t lo, ptrdiff_t hi,
                      int64_t t);

/* FO_LAGGED_GRADIENT: adds the penalties' gradient to that of a list of n columns (n x width), in step t. */
void fo_add_lagged_gradient(const fo_penalty *penalty, const void *columns, int index64, ptrdiff_t n, int64_t t,
                            void *gradient);

/* The columns of a list were left after the gradient of step t. */
void fo_mark_updated(const fo_penalty *penalty, const void *columns, int index64, ptrdiff_t n, int64_t t);

/* All of [lo, hi) of the entries, by the threshold of one step with this rate: for steps that touch every column. */
void fo_soft_threshold_all(const fo_penalty *penalty, ptrdiff_t lo, ptrdiff_t hi, double learning_rate);

#endif
