/* gradient_norm_tmpl.h -- the sums over a buffer of gradient_norm.c; no threads here. Squares are those of clipped
 * values, and once more of scaled ones, whose sum does not overflow. */

FO_INLINE double FN(total)(const double *lanes)
{
    double sum = 0.0;
    for (int k = 0; k < LANES; ++k)
        sum += lanes[k];
    return sum;
}

FO_INLINE void FN(square)(double *lanes, double *scaled, real g, real clip, int k)
{
    const double x = g > clip ? clip : g < -clip ? -clip : g;
    lanes[k] += x * x;
    if (sizeof(real) == sizeof(double))       /* the squares of float32 fit into a double */
        scaled[k] += (x * SCALE) * (x * SCALE);
}

static fo_gradient_stats FN(kernels)(const void *grad, ptrdiff_t n, double clip_value, int want_norm)
{
    const real *g = grad, clip = (real)clip_value;
    real probe[LANES] = {0};
    double squares[LANES] = {0}, scaled[LANES] = {0}, probe_sum = 0.0;
    ptrdiff_t i;
    for (i = 0; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; ++k)
            probe[k] += ZERO_IF_FINITE(g[i + k]);
    for (int k = 0; i + k < n; ++k)
        probe[k] += ZERO_IF_FINITE(g[i + k]);
    for (int k = 0; k < LANES; ++k)
        probe_sum += probe[k];
    if (want_norm) {
        for (i = 0; i + LANES <= n; i += LANES)
            for (int k = 0; k < LANES; ++k)
                FN(square)(squares, scaled, g[i + k], clip, k);
        for (int k = 0; i + k < n; ++k)
            FN(square)(squares, scaled, g[i + k], clip, k);
    }
    const double sum_squares = FN(total)(squares);
    const double scaled_sum = sizeof(real) == sizeof(double) ? FN(total)(scaled) : sum_squares * SCALE * SCALE;
    const fo_gradient_stats sum = {sum_squares, scaled_sum, probe_sum};
    return sum;
}
