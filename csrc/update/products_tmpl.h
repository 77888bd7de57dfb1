/* products_tmpl.h -- the sum of products of consecutive entries, in an order that no compiler changes: LANES sums side
 * by side, of every LANES-th product each, which are then added from the first to the last. In double, and of float64
 * also with scaled factors: see fo_sum. */

FO_INLINE double FN(total)(const double *lanes)
{
    double sum = 0.0;
    for (int k = 0; k < LANES; ++k)
        sum += lanes[k];
    return sum;
}

FO_INLINE fo_sum FN(sum_products)(const real *x, const real *y, ptrdiff_t n)
{
    double plain[LANES] = {0}, down[LANES] = {0}, up[LANES] = {0};
    const int scaled = sizeof(real) == sizeof(double);   /* products of float32 fit into a double */
    ptrdiff_t i;
    for (i = 0; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; ++k) {
            const double a = x[i + k], b = y[i + k];
            plain[k] += a * b;
            if (scaled) {
                down[k] += (a * SCALE_DOWN) * (b * SCALE_DOWN);
                up[k] += (a * SCALE_UP) * (b * SCALE_UP);
            }
        }
    for (int k = 0; i + k < n; ++k) {
        const double a = x[i + k], b = y[i + k];
        plain[k] += a * b;
        if (scaled) {
            down[k] += (a * SCALE_DOWN) * (b * SCALE_DOWN);
            up[k] += (a * SCALE_UP) * (b * SCALE_UP);
        }
    }
    const double total = FN(total)(plain);
    const fo_sum sum = {total, scaled ? FN(total)(down) : total * SCALE_DOWN * SCALE_DOWN,
                        scaled ? FN(total)(up) : total * SCALE_UP * SCALE_UP};
    return sum;
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
