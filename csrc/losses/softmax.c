/* softmax.c -- log(sum_k exp(z_k)) - z_y, y = 0 ... K - 1. The largest margin is taken out of the exponentials. */
#ifndef FO_VARIANT
#define LOSS softmax
#define LOSS_FILE "losses/softmax.c"
#define SEVERAL_OUTPUTS
#include "finite_sum/loss.h"
#else

/* Vectors of outputs are worked on side by side, and exponentials are added in their order, whatever their width. */
enum { FN(BLOCK) = 32 };

/* The first place of the largest margin; where some are NaN, any place: the sum of the exponentials is NaN then. */
FO_INLINE ptrdiff_t FN(place_of_largest)(const real *z, ptrdiff_t n_outputs)
{
    real most = z[0];
    ptrdiff_t place = 0;
    for (ptrdiff_t k = 1; k < n_outputs; ++k)
        most = MAX(z[k], most);
    while (place + 1 < n_outputs && z[place] != most)
        ++place;
    return place;
}

/* exp(z_k - z_largest) over the derivatives, which may take the margins' place; returns their sum without the largest's
 * own 1, beside which it may vanish. */
FO_INLINE double FN(exponentials)(const real *z, ptrdiff_t n_outputs, ptrdiff_t largest, real *derivative)
{
    const double most = z[largest];
    double others = 0.0, block[FN(BLOCK)];
    for (ptrdiff_t first = 0; first < n_outputs; first += FN(BLOCK)) {
        const ptrdiff_t n = MIN(n_outputs - first, FN(BLOCK)), own = largest - first;
        FO_SIMD
        for (ptrdiff_t k = 0; k < n; ++k) {
            block[k] = exponential(z[first + k] - most);
            derivative[first + k] = (real)block[k];
        }
        for (ptrdiff_t k = 0; k < n; ++k)
            others += k == own ? 0.0 : block[k];
    }
    return others;
}

static double FN(labels)(const fo_objective *it, const void *margins, const void *labels, const void *weights,
                         ptrdiff_t n, void *derivatives)
{
    const real *label = labels, *weight = weights;
    const ptrdiff_t n_outputs = it->n_outputs;
    double total = 0.0;
    for (ptrdiff_t i = 0; i < n; ++i) {
        const real *z = (const real *)margins + i * n_outputs;
        real *derivative = (real *)derivatives + i * n_outputs;
        const ptrdiff_t own = (ptrdiff_t)label[i];
        if (weight[i] == 0) {             /* counts as left out, also where its loss overflows */
            memset(derivative, 0, (size_t)n_outputs * sizeof(real));
            continue;
        }
        const ptrdiff_t largest = FN(place_of_largest)(z, n_outputs);
        const double gap = (double)z[largest] - z[own];
        const double others = FN(exponentials)(z, n_outputs, largest, derivative), scale = weight[i] / (1.0 + others);
        const double of_own = derivative[own] * scale - weight[i];
        FO_SIMD
        for (ptrdiff_t k = 0; k < n_outputs; ++k)
            derivative[k] = (real)(derivative[k] * scale);
        derivative[own] = (real)of_own;
        total += weight[i] * (gap + (others <= 1.0 ? log1p_of_unit(others) : logarithm(1.0 + others)));
    }
    return total;
}
#endif
