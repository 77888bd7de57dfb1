/* products_tmpl.h -- sums of products, LANES side by side: the product of the i-th entry of a chunk goes into lane
 * i % LANES, whatever the width of vectors. In double, and of float64 also with scaled factors: see fo_sum. */

enum { FN(scaled) = sizeof(real) == sizeof(double), FN(scales) = FN(scaled) ? SCALES : 1 };

FO_INLINE void FN(add_product)(double (*lanes)[LANES], int k, double a, double b)
{
    lanes[0][k] += a * b;
    if (FN(scaled)) {
        lanes[FN(scales) - 2][k] += (a * SCALE_DOWN) * (b * SCALE_DOWN);
        lanes[FN(scales) - 1][k] += (a * SCALE_UP) * (b * SCALE_UP);
    }
}

/* 0 if all entries are finite, else NaN. */
FO_INLINE double FN(probe)(const real *g, ptrdiff_t n)
{
    real lanes[LANES] = {0};
    double sum = 0.0;
    ptrdiff_t i;
    for (i = 0; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; ++k)
            lanes[k] += ZERO_IF_FINITE(g[i + k]);
    for (int k = 0; i + k < n; ++k)
        lanes[k] += ZERO_IF_FINITE(g[i + k]);
    for (int k = 0; k < LANES; ++k)
        sum += lanes[k];
    return sum;
}
