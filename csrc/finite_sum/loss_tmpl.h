/* loss_tmpl.h -- the loop over labels, written once for all losses of one margin.
 *
 * The sum is taken in LANES sums whose order is fixed: the same bits with vectors of any width. A sample of weight 0
 * counts as left out: its loss is taken at margin 0 and label 0, where none overflows, as infinity times 0 is NaN. */
#include LOSS_FILE               /* FN(point), FN(invariant); or FN(labels) */
#ifdef SEVERAL_OUTPUTS

static const fo_loss_kernels FN(kernels) = {FN(labels), NULL};
#else

enum { FN(LANES) = 8 };

FO_INLINE double FN(weigh)(const real *margin, const real *label, const real *weight, ptrdiff_t i, double parameter,
                           real *derivative)
{
    const real w = weight[i], z = margin[i], y = label[i];     /* read here: a conditional read is no vector's */
    const point at = FN(point)(w != 0 ? z : 0, w != 0 ? y : 0, parameter);
    derivative[i] = (real)(w * at.derivative);
    return w * at.value;
}

static double FN(labels)(const fo_objective *it, const void *margins, const void *labels, const void *weights,
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

static double FN(move)(const fo_objective *it, double margin, double label, double time)
{
    return FN(invariant)(margin, label, time, it->loss_parameter);
}

static const fo_loss_kernels FN(kernels) = {FN(labels), FN(move)};
#endif
