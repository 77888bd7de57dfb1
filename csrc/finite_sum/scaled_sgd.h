/* scaled_sgd.h -- plain SGD on scaled weights: parameters that a step does not touch need no lagged update.
 *
 * A method of its own beside rules/sgd.c, with the same result to rounding. A parameter w is kept as
 * v = sign(w) (|w| / scale + penalty), where scale and penalty are the entries of fo_penalty's tables at the present
 * step (Shalev-Shwartz, Singer & Srebro 2007 for l2; Tsuruoka, Tsujii & Ananiadou 2009 for the cumulative penalty of
 * l1): decay and threshold of all parameters are then two numbers. Where the tables begin, v is w. */
#ifndef FO_SCALED_SGD_H
#define FO_SCALED_SGD_H

#include "core/numerics.h"
#include "finite_sum/minibatch.h"

FO_INLINE double from_scaled(double v, double scale, double penalty) { return scale * soft_threshold(v, penalty); }

FO_INLINE double to_scaled(double w, double one_over_scale, double penalty)
{
    return w == 0 ? 0 : __builtin_copysign(__builtin_fabs(w) * one_over_scale + penalty, w);
}

/* The weights w of the columns that a batch of CSR samples touches, side by side. */
void fo_gather_scaled(const fo_minibatch *it);

/* The step of such a batch with the worker's gradient, that of l2 included. Lock-free workers may have written the same
 * columns since they were gathered. */
void fo_step_scaled(const fo_minibatch *it);

/* Brings all parameters back from v to w, t steps having been made in all. */
void fo_flush_scaled_weights(const fo_segment *segment, int64_t t, int num_threads);

#endif
