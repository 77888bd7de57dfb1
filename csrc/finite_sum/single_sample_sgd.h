/* descend.h -- plain SGD over the rows of a matrix, one at a time: the parameters stay folded, so that a step reads and
 * writes the row's columns alone, and these once, whatever the penalties. */
#ifndef FO_DESCEND_H
#define FO_DESCEND_H

#include "finite_sum/epoch.h"

/* A parameter w is kept as sign(w) (|w| / decay + pull), with both at the present step (fo_penalty's tables): decay
 * and threshold of all parameters are then two numbers. At the start of a stretch folded and plain are the same. */
void fo_descend(const fo_stretch *stretch, fo_worker *worker, ptrdiff_t first);

/* Unfolds all parameters, t steps having been made in all. */
void fo_settle_descent(const fo_stretch *stretch, int64_t t, int num_threads);

#endif
