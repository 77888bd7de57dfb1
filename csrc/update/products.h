/* products.h -- what sums of products need outside a variant: their order, their scales, and how a rule names a
 * product. */
#ifndef FO_PRODUCTS_H
#define FO_PRODUCTS_H

#include "fastopt.h"
#include "core/numerics.h"

/* Sums side by side, of every LANES-th product each, a power of two; and their scales, as in fo_sum, of which those of
 * products of float32 have the first alone. */
enum { LANES = 16, SCALES = 3 };
#define SCALE_DOWN 0x1p-600
#define SCALE_UP 0x1p600

/* The sums of a chunk while they are taken. */
struct fo_lanes {
    double sum[FO_MAX_SUMS][SCALES][LANES];
    int wants_probe;             /* whether gradients are finite is asked, too */
    double probe;                /* 0 if they are, else NaN */
};

/* One entry adds x * y to the sum `name`. */
#define PRODUCT(name, x, y) (sum->name##_x = (x), sum->name##_y = (y))

/* The sum of LANES numbers, in an order that no compiler changes: halves are added to each other. */
FO_INLINE double fo_add_lanes(const double *lanes)
{
    double sum[LANES / 2];
    for (int k = 0; k < LANES / 2; ++k)
        sum[k] = lanes[k] + lanes[k + LANES / 2];
    for (int n = LANES / 4; n > 0; n /= 2)
        for (int k = 0; k < n; ++k)
            sum[k] += sum[k + n];
    return sum[0];
}

/* The sum of which these are the lanes; `scaled`: all scales were taken, as of products of float64. */
FO_INLINE fo_sum fo_total(double (*lanes)[LANES], const int scaled)
{
    const double plain = fo_add_lanes(lanes[0]);
    const fo_sum sum = {plain, scaled ? fo_add_lanes(lanes[1]) : plain * SCALE_DOWN * SCALE_DOWN,
                        scaled ? fo_add_lanes(lanes[2]) : plain * SCALE_UP * SCALE_UP};
    return sum;
}

#endif
