/* positions.h -- the positions of a sparse gradient, and how many of them ahead memory is fetched. */
#ifndef FO_POSITIONS_H
#define FO_POSITIONS_H

#include "fastopt.h"
#include "core/numerics.h"
#include "core/prefetch.h"

/* Positions between a prefetch and its use; rows whose sums are taken before they are updated together, and entries
 * that are gathered. */
enum { ROWS_AHEAD = 8, ROWS_TOGETHER = 8, ELEMENTS_AHEAD = 128, ELEMENTS_STAGED = 64 };

static inline ptrdiff_t position(const fo_positions *at, ptrdiff_t k) { return load_index(at->index, at->index64, k); }

#endif
