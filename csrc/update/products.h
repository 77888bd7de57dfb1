/* products.h -- what sums of products need outside a variant: their order, their scales, and how a rule names a
 * product. */
#ifndef FO_PRODUCTS_H
#define FO_PRODUCTS_H

#include "core/numerics.h"

/* Sums side by side; entries whose products are put aside before they are added. */
enum { LANES = 16, STAGED = 256 };
#define SCALE_DOWN 0x1p-600
#define SCALE_UP 0x1p600

/* One entry adds x * y to the sum `name`. */
#define PRODUCT(name, x, y) (sum->name##_x = (x), sum->name##_y = (y))

#endif
