/* single_sample_sgd.h -- plain SGD over single samples: a step reads and writes the columns of its sample alone, and
 * these once, whatever the penalties and however many outputs there are. Weights are scaled (scaled_sgd.h) but those of
 * dense samples with l1, which are all up to date after each step. */
#ifndef FO_SINGLE_SAMPLE_SGD_H
#define FO_SINGLE_SAMPLE_SGD_H

#include "finite_sum/epoch.h"

/* The samples first, first + n_workers, ... of a segment. */
void fo_single_sample_sgd(const fo_segment *segment, fo_worker *worker, ptrdiff_t first);

#endif
