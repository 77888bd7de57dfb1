/* invariant.h -- the invariant step of a sample (Karampatziakis & Langford 2011), and what losses make it of.
 *
 * An ordinary step moves the margin z of its sample by -time * derivative(z): with a long time, past the minimum of the
 * loss and to where it is larger than before. The invariant step is that of infinitely many short ones, each with the
 * derivative where the former has led: z goes along z' = -derivative(z) for that time, and two steps of a sample are
 * one of twice the weight. A loss file gives FN(invariant), how far z goes, in closed form. Margin,
 * label and loss are finite, and the time is in (0, FO_LONGEST_TIME]. */
#ifndef FO_INVARIANT_H
#define FO_INVARIANT_H

#include "core/powers.h"

/* As good as for ever. */
#define FO_LONGEST_TIME 1e150

/* 1 - exp(-u) for u >= 0. */
FO_INLINE double decayed(double u) { return u * mean_decay(u); }

/* log(sum) for a sum > 0, which is 1 + x: the caller knows both to full precision. */
FO_INLINE double log_of_sum(double sum, double x) { return x > -0.5 && x < 1.0 ? log1p_of_unit(x) : logarithm(sum); }

/* A move of r towards zero by some distance, at most to zero. */
FO_INLINE double towards_zero(double r, double distance) { return r > 0 ? -MIN(r, distance) : MIN(0.0 - r, distance); }

/* How far a margin goes in the loss slack^2, whose slack it is that shrinks; 0 where there is none. */
FO_INLINE double square_closes(double slack, double time) { return slack > 0 ? slack * decayed(2.0 * time) : 0.0; }

#endif
