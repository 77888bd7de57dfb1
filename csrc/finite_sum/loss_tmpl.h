/* loss_driver.h -- the loop over samples, written once for all losses of one output.
 *
 * The sum is taken in LOSS_LANES sums whose order is fixed: the same bits with vectors of any width. */
#include LOSS_FILE
#ifndef SEVERAL_OUTPUTS

enum { FN(LANES) = 8 };

FO_INLINE double FN(weigh)(const real *margin, const real *label, const real *weight, ptrdiff_t i, double shape,
                           real *derivative)
{
    const point at = FN(point)(margin[i], label[i], shape);
    derivative[i] = (real)(weight[i] * at.derivative);
    return weight[i] * at.value;
}

static double FN(samples)(const void *margins, const void *labels, const void *weights, ptrdiff_t n,
                          ptrdiff_t n_outputs, double shape, void *derivatives)
{
    const real *margin = margins, *label = labels, *weight = weights;
    real *derivative = derivatives;
    double sum[FN(LANES)] = {0};
    ptrdiff_t i = 0;
    (void)n_outputs;
    for (; i + FN(LANES) <= n; i += FN(LANES)) {
        FO_SIMD
        for (int k = 0; k < FN(LANES); ++k)
            sum[k] += FN(weigh)(margin, label, weight, i + k, shape, derivative);
    }
    for (int k = 0; i < n; ++i, ++k)
        sum[k] += FN(weigh)(margin, label, weight, i, shape, derivative);
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}
#endif
