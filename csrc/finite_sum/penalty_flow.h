/* penalty_flow.h -- what l2 and l1 make of a parameter in some time, in closed form. */
#ifndef FO_PENALTY_FLOW_H
#define FO_PENALTY_FLOW_H

#include "core/exponential.h"
#include "core/numerics.h"

/* Along w' = -l2 w - l1 sign(w) for a time s: sign(w) max(0, |w| exp(-u) - l1 s phi(u)), u = l2 s, where
 * phi(u) = (1 - exp(-u)) / u keeps its precision for small u. */
FO_INLINE double penalty_flow_of(double w, double s, double l2, double l1, double phi)
{
    return soft_threshold((1.0 - l2 * s * phi) * w, l1 * s * phi);
}

FO_INLINE double penalty_flow(double w, double s, double l2, double l1)
{
    return penalty_flow_of(w, s, l2, l1, mean_decay(l2 * s));
}

#endif
