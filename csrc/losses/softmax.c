/* softmax.c -- log(sum_k exp(z_k)) - z_y, y = 0 ... K - 1. The largest margin is taken out of the exponentials. */
#ifndef FO_VARIANT
#define LOSS softmax
#define LOSS_FILE "losses/softmax.c"
#define SEVERAL_OUTPUTS
#include "finite_sum/loss.h"
#else

/* exp(z_k - z_largest) over the derivatives, which may take the margins' place; returns their sum without the largest's
 * own 1, beside which it may vanish. */
FO_INLINE double FN(exponentials)(const real *z, ptrdiff_t n_outputs, ptrdiff_t largest, real *derivative)
{
    const double most = z[largest];
    double others = 0.0;
    for (ptrdiff_t k = 0; k < n_outputs; ++k) {
        if (k == largest) {
            derivative[k] = 1;
            continue;
        }
        const double e = exponential(z[k] - most);
        derivative[k] = (real)e;
        others += e;
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
        ptrdiff_t largest = 0;
        if (weight[i] == 0) {             /* counts as left out, also where its loss overflows */
            memset(derivative, 0, (size_t)n_outputs * sizeof(real));
            continue;
        }
        for (ptrdiff_t k = 1; k < n_outputs; ++k)
            largest = z[k] > z[largest] ? k : largest;
        const double gap = (double)z[largest] - z[own];
        const double others = FN(exponentials)(z, n_outputs, largest, derivative), scale = weight[i] / (1.0 + others);
        for (ptrdiff_t k = 0; k < n_outputs; ++k)
            derivative[k] = (real)(derivative[k] * scale - (k == own ? weight[i] : 0));
        total += weight[i] * (gap + (others <= 1.0 ? log1p_of_unit(others) : logarithm(1.0 + others)));
    }
    return total;
}
#endif
