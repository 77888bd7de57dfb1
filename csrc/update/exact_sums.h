/* exact_sums.h -- sums that are not rounded before their end: parts of them can be added in any grouping and order, and
 * the bits are those of the whole. See fo_exact in fastopt.h. */
#ifndef FO_EXACT_SUMS_H
#define FO_EXACT_SUMS_H

#include "fastopt.h"
#include "update/sums.h"

/* Adds a number that is not negative, NaN or infinite. */
void fo_add_exactly(fo_exact *sum, fo_scaled number);
/* Adds a sum to one that other threads may add to at the same time. */
void fo_add_shared(fo_exact *sum, const fo_exact *part);

#endif
