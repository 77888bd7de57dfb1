/* single_sample_sgd.h -- plain SGD over single samples on scaled weights: a step reads and writes the columns of its
 * sample alone, and these once, whatever the penalties.
 *
 * A method of its own beside rules/sgd.c, with the same result to rounding. A parameter w is kept as
 * v = sign(w) (|w| / scale + penalty), where scale and penalty are the entries of fo_penalty's tables at the present
 * step (Shalev-Shwartz, Singer & Srebro 2007 for l2; Tsuruoka, Tsujii & Ananiadou 2009 for the cumulative penalty of
 * l1): decay and threshold of all parameters are then two numbers. At the start of a segment v is w. */
#ifndef FO_SINGLE_SAMPLE_SGD_H
#define FO_SINGLE_SAMPLE_SGD_H

#include "finite_sum/epoch.h"

/* The samples first, first + n_workers, ... of a segment. */
void fo_single_sample_sgd(const fo_segment *segment, fo_worker *worker, ptrdiff_t first);

/* Brings all parameters back from v to w, t steps having been made in all. */
void fo_flush_scaled_weights(const fo_segment *segment, int64_t t, int num_threads);

#endif
