/* vw.h -- the normalised, adaptive and invariant update of Vowpal Wabbit, over single samples: features of any scale,
 * and weights of samples of any size (Ross, Mineiro & Langford 2013; Duchi, Hazan & Singer 2011; Karampatziakis &
 * Langford 2011).
 *
 * Each parameter knows the largest feature so far, its scale s. With a sample of margin z, label y, weight h and
 * derivative d, for each of its features x, s being made the larger one first (and w times the former s over it):
 *     xi = x / s,   a += h d^2 xi^2,   direction = xi / (sqrt(a) s),   and of all of them p = sum of x direction;
 *     T += h,   Z += h sum of xi^2,   k = sqrt(T / Z);
 * the margin goes by m in an invariant step of the time eta h k p (invariant.h), and w += m / p direction. Here a is in
 * units of normalised features, and is multiplied by the square of the same quotient as w: no scale overflows it.
 * Samples whose derivative is zero leave all of this alone.
 *
 * l2 and l1 shrink each parameter at its own rate, after each step: the flow of penalty_flow.h for the time
 * eta k / (sqrt(a) s^2), by lagged updates before a sample with its feature is read, and in the flush. Several targets
 * are independent of each other. */
#ifndef FO_VW_H
#define FO_VW_H

#include "finite_sum/epoch.h"

/* A segment. All arrays are the caller's; entries are of the objective's dtype, if no other is said. */
typedef struct {
    const fo_objective *objective;       /* of one margin a label, without a linear part */
    fo_batch samples;                    /* of the segment, one step each */
    double learning_rate, l2, l1;        /* eta; of the objective */
    void *param, *accumulator, *scale;   /* w, a and s: like the parameters; written */
    double *weight_sum, *norm_sum;       /* T and Z: n_outputs; written */
    double *rate_sum;                    /* n_outputs, written: eta k, summed over the steps since the last flush */
    double *last_rate_sum;               /* n_features x n_outputs, written: that when each was updated; or NULL */
    void *workspace;                     /* that of sample_loss_tmpl.h, then n_features + 1 directions */
    fo_interrupt_poll *poll;
    double loss;                         /* sum over the steps, added to what was there */
    ptrdiff_t n_done;                    /* steps */
    fo_segment_end end;                  /* written at the end, like n_done */
} fo_vw;

void fo_run_vw(fo_vw *it);

/* Lagged updates of all columns. */
void fo_flush_vw(fo_vw *it);

#endif
