/* dots.h -- products of rows with parameters, written once for all losses; no threads here.
 *
 * Included once per (instruction set, dtype). The order of every sum is written down here, so that vectors of any
 * width give the same bits. `sparse` and `wide` are constants in each call: the layout costs nothing inside. */

/* Entries that a dense product or a norm sums side by side. */
enum { FN(SIDE) = 128 / sizeof(real) };

FO_INLINE double FN(dense_dot)(const real *x, const real *w, ptrdiff_t n)
{
    real side[FN(SIDE)] = {0};
    double sum = 0.0;
    ptrdiff_t j = 0;
    for (; j + FN(SIDE) <= n; j += FN(SIDE)) {
        FO_SIMD
        for (int k = 0; k < FN(SIDE); ++k)
            side[k] += x[j + k] * w[j + k];
    }
    for (int k = 0; k < FN(SIDE); ++k)
        sum += side[k];
    for (; j < n; ++j)
        sum += (double)x[j] * w[j];
    return sum;
}

FO_INLINE double FN(squared_norm)(const real *x, ptrdiff_t n)
{
    double side[FN(SIDE)] = {0}, sum = 0.0;
    ptrdiff_t j = 0;
    for (; j + FN(SIDE) <= n; j += FN(SIDE)) {
        FO_SIMD
        for (int k = 0; k < FN(SIDE); ++k)
            side[k] += (double)x[j + k] * x[j + k];
    }
    for (int k = 0; k < FN(SIDE); ++k)
        sum += side[k];
    for (; j < n; ++j)
        sum += (double)x[j] * x[j];
    return sum;
}

/* Whether the gradient of a sample, a derivative times its row, is finite; data are. */
FO_INLINE int FN(gradient_is_finite)(fo_row at, real derivative)
{
    const real *x = at.value;
    int n_bad = 0;
    if (!(ABS(derivative) > 1))
        return derivative == derivative;
    for (ptrdiff_t j = 0; j < at.n; ++j) {
        const real product = derivative * x[j];
        n_bad += product - product != 0;
    }
    return n_bad == 0 && derivative - derivative == 0;
}

FO_INLINE double FN(sparse_dot)(const real *x, const void *column, ptrdiff_t n, const real *w, const int wide)
{
    double a = 0.0, b = 0.0, c = 0.0, d = 0.0;   /* four chains of additions side by side */
    ptrdiff_t k = 0;
    for (; k + 4 <= n; k += 4) {
        a += (double)x[k] * w[entry_of(column, wide, k)];
        b += (double)x[k + 1] * w[entry_of(column, wide, k + 1)];
        c += (double)x[k + 2] * w[entry_of(column, wide, k + 2)];
        d += (double)x[k + 3] * w[entry_of(column, wide, k + 3)];
    }
    for (; k < n; ++k)
        a += (double)x[k] * w[entry_of(column, wide, k)];
    return (a + b) + (c + d);
}

/* z += x w for all outputs. */
FO_INLINE void FN(add_product)(real x, const real *w, ptrdiff_t n_outputs, real *FO_RESTRICT z)
{
    FO_SIMD
    for (ptrdiff_t k = 0; k < n_outputs; ++k)
        z[k] += x * w[k];
}

/* Margins of one row, `start` being those of a row of zeros: the intercepts. */
FO_INLINE void FN(margin)(fo_row at, const real *w, const real *start, ptrdiff_t n_outputs, real *z, const int sparse,
                          const int wide)
{
    const real *x = at.value;
    if (n_outputs == 1) {
        const double product = sparse ? FN(sparse_dot)(x, at.column, at.n, w, wide) : FN(dense_dot)(x, w, at.n);
        z[0] = (real)(product + (start ? start[0] : 0));
        return;
    }
    for (ptrdiff_t k = 0; k < n_outputs; ++k)
        z[k] = start ? start[k] : 0;
    for (ptrdiff_t j = 0; j < at.n; ++j)
        FN(add_product)(x[j], w + (sparse ? entry_of(at.column, wide, j) : j) * n_outputs, n_outputs, z);
}
