/* loss_tmpl.h -- the loop over samples, written once for all losses of one output.
 *
 * The sum is taken in LANES sums whose order is fixed: the same bits with vectors of any width. A sample of weight 0
 * counts as left out, also where its loss overflows. */
#include LOSS_FILE               /* FN(point) */
#ifndef SEVERAL_OUTPUTS

enum { FN(LANES) = 8 };

FO_INLINE double FN(weigh)(const real *margin, const real *label, const real *weight, ptrdiff_t i, double parameter,
                           real *derivative)
{
    const point at = FN(point)(margin[i], label[i], parameter);
    const int counts = weight[i] != 0;
    derivative[i] = counts ? (real)(weight[i] * at.derivative) : 0;
    return counts ? weight[i] * at.value : 0.0;
}

static double FN(kernels)(const fo_objective *it, const void *margins, const void *labels, const void *weights,
                          ptrdiff_t n, void *derivatives)
{
    const real *margin = margins, *label = labels, *weight = weights;
    real *derivative = derivatives;
    const double parameter = it->loss_parameter;
    double sum[FN(LANES)] = {0};
    ptrdiff_t i = 0;
    for (; i + FN(LANES) <= n; i += FN(LANES)) {
        FO_SIMD
        for (int k = 0; k < FN(LANES); ++k)
            sum[k] += FN(weigh)(margin, label, weight, i + k, parameter, derivative);
    }
    for (int k = 0; i < n; ++i, ++k)
        sum[k] += FN(weigh)(margin, label, weight, i, parameter, derivative);
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}
#endif
