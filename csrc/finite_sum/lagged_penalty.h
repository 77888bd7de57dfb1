/* lagged_penalty.h -- l1 and l2 on parameters whose columns few samples touch, in time proportional to the touches.
 *
 * A column that no sample touches for a while only shrinks. The steps that it missed are made up for by one lagged
 * update when it is read the next time, in closed form, from tables over the steps since the last flush. */
#ifndef FO_LAGGED_PENALTY_H
#define FO_LAGGED_PENALTY_H

#include "fastopt.h"

/* How the penalties act on the parameters of an optimizer, and how they reach a column that no sample of a batch
 * touches: FO_PROXIMAL, FO_FLOW   fo_lagged_update, before the column is read again or in the flush
 *   FO_CLOSED_FORM         fo_solve_closed_form (closed_form.h), at the same moments
 *   FO_LAGGED_GRADIENT     only when it is touched again: fo_add_lagged_gradient
 * Dense steps apply them to all columns (dense_gradient in minibatch.c); plain SGD has scaled weights (scaled_sgd.h),
 * SAGA and SVRG have such and lagged updates of their own. The kinds:
 *   FO_NO_PENALTY
 *   FO_PROXIMAL         each step: w = soft((1 - rate l2) w, rate l1), the decay before the gradient, the threshold
 *                       after it (Duchi & Singer 2009; Langford, Li & Zhang 2009)
 *   FO_FLOW             each step: the flow w' = -l2 w - l1 sign(w) of the penalty, its exact solution over the time
 *                       rate / H, H = sqrt(accumulator + root) + epsilon: Adagrad's own steps with ever smaller ones
 *   FO_CLOSED_FORM      the rule gives w from its state and the penalties so far: FTRL (McMahan 2011)
 *   FO_LAGGED_GRADIENT  a touched column's gradient has that of the penalties, times the steps since it was touched */
typedef enum { FO_NO_PENALTY, FO_PROXIMAL, FO_FLOW, FO_CLOSED_FORM, FO_LAGGED_GRADIENT } fo_penalty_kind;

/* The tables have an entry for `start`, and one more for each step since then, in one segment or several. All arrays
 * are the caller's; those of parameters have a row of `width` entries of the dtype for each column. */
typedef struct {
    fo_penalty_kind kind;        /* constant in a run, like all but start and the tables */
    double l2, l1;               /* of the objective; FO_PROXIMAL: l1 times the optimizer's step gain */
    ptrdiff_t n_columns, width;  /* of the penalised parameters: a row of `width` entries for each column */
    int dtype;                   /* of the parameters */
    void *param;                 /* written */
    ptrdiff_t spacing;           /* positions from one column to the next: 1, or that of records. A column's row of
                                  * parameters begins at its position times `width` */
    int32_t *left_after;         /* for each column, written: how many steps after `start` its last gradient was; 0 or
                                  * less if none was since then, and then 0 where columns lag; or NULL */
    ptrdiff_t left_spacing;      /* of these, from one position to the next */
    int64_t start;               /* the steps made before the tables begin */
    const double *weight_scale;  /* FO_PROXIMAL: product of 1 - rate l2 over the steps before */
    const double *cumulative_penalty; /* FO_PROXIMAL: sum of rate l1 / weight_scale; FO_FLOW: sum of the rates; there
                                       * is one more entry of 0 before the first */
    const void *accumulator; /* FO_FLOW: like param */
    double epsilon, epsilon_root; /* FO_FLOW: those of the optimizer */
} fo_penalty;

/* Whether columns that no sample touches are behind until their lagged update. */
static inline int fo_is_lagged(const fo_penalty *penalty)
{
    return penalty->kind == FO_PROXIMAL || penalty->kind == FO_FLOW;
}

/* Some columns, by their positions. */
typedef struct {
    const void *positions;       /* n of int32, or of int64 */
    int index64;
    ptrdiff_t n;
} fo_columns;

/* Lagged updates of columns, which become what they are before the gradient of step t, and count as left after it.
 * `gathered` (n x width) becomes their parameters, side by side. */
void fo_lagged_update(const fo_penalty *penalty, fo_columns columns, int64_t t, void *gathered);

/* Lagged updates of all columns, for the steps before t, after which the tables may begin anew. */
void fo_flush_lagged(const fo_penalty *penalty, int64_t t, int num_threads);

/* FO_LAGGED_GRADIENT: `gathered` (n x width) becomes the parameters of columns, `left` (n) when they were left. With
 * `mark` they count as left after step t at once: of several workers that see a column, one has the steps it missed. */
void fo_gather_lagging(const fo_penalty *penalty, fo_columns columns, int64_t t, int mark, void *gathered,
                       int32_t *left);

/* FO_LAGGED_GRADIENT: adds the penalties' gradient to that of n columns (n x width), in step t, given what was gathered
 * of them. */
void fo_add_lagged_gradient(const fo_penalty *penalty, ptrdiff_t n, int64_t t, const void *gathered,
                            const int32_t *left, void *gradient);

/* FO_LAGGED_GRADIENT: columns were left after the gradient of step t. */
void fo_mark_left(const fo_penalty *penalty, fo_columns columns, int64_t t);

/* Soft-thresholds the entries [lo, hi) for one dense step with this rate. */
void fo_soft_threshold_all(const fo_penalty *penalty, ptrdiff_t lo, ptrdiff_t hi, double learning_rate);

#endif
