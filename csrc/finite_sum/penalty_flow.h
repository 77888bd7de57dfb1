/* penalty_flow.h -- what l2 and l1 make of a parameter in some time, in closed form. */
#ifndef FO_PENALTY_FLOW_H
#define FO_PENALTY_FLOW_H

#include "core/exponential.h"
#include "core/numerics.h"

/* Along w' = -l2 w - l1 sign(w) for a time s: sign(w) max(0, |w| exp(-u) - l1 s phi(u)), u = l2 s, where
 * phi(u) = (1 - exp(-u)) / u keeps its precision for small u. */
FO_INLINE double penalty_flow(double w, double s, double l2, double l1)
{
    const double u = l2 * s, phi = mean_decay(u);
    return soft_threshold((1.0 - u * phi) * w, l1 * s * phi);
}

#endif
