/* penalty.h -- l1 and l2 on parameters whose columns are touched by few samples, in time proportional to the touches.
 *
 * A column that no sample touches for a while only shrinks. The steps that it missed are made up for in closed form
 * when it is read the next time, from tables over the steps of a stretch. */
#ifndef FO_PENALTY_H
#define FO_PENALTY_H

#include "fastopt.h"

/* How the penalties act on the parameters of an optimizer.
 *   FO_NO_PENALTY
 *   FO_SHRINK   each step: w = soft((1 - rate l2) w, rate l1), the decay before the gradient, the threshold after
 *   FO_FLOW     each step: the flow of the penalty over the time rate / H, H = sqrt(accumulator + root) + epsilon
 *   FO_SOLVE    the rule gives w from its state and the penalties so far
 *   FO_DELAYED  a touched column's gradient has that of the penalties, times the steps since it was touched */
typedef enum { FO_NO_PENALTY, FO_SHRINK, FO_FLOW, FO_SOLVE, FO_DELAYED } fo_penalty_kind;

/* Tables have an entry for each step of the stretch that begins with step `start`, and one more. */
typedef struct {
    fo_penalty_kind kind;
    double l2, l1;
    ptrdiff_t n_columns, width;  /* of the penalised parameters: rows of `width` entries */
    int dtype;
    void *param;
    int64_t *last;               /* per column: the step after whose gradient it was left */
    int64_t start;
    const double *decay;         /* FO_SHRINK: product of 1 - rate l2 over the steps before */
    const double *pull;          /* FO_SHRINK: sum of rate l1 / decay; FO_FLOW: sum of the rates */
    const void *accumulator;     /* FO_FLOW: like param */
    double epsilon, epsilon_root;
} fo_penalty;

/* Columns [lo, hi) of a list, or all of [lo, hi) without one, to what they are before the gradient of step t. */
void fo_catch_up(const fo_penalty *penalty, const void *column, int wide, ptrdiff_t lo, ptrdiff_t hi, int64_t t);

/* FO_DELAYED: adds the penalties' gradient to that of a list of columns, in step t. */
void fo_add_delayed(const fo_penalty *penalty, const void *column, int wide, ptrdiff_t n, int64_t t, void *gradient);

/* The columns of a list were left after the gradient of step t. */
void fo_note_touched(const fo_penalty *penalty, const void *column, int wide, ptrdiff_t n, int64_t t);

/* All of [lo, hi) of the entries, by the threshold of one step with this rate: for steps that touch every column. */
void fo_threshold_all(const fo_penalty *penalty, ptrdiff_t lo, ptrdiff_t hi, double learning_rate);

#endif
