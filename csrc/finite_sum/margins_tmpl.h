/* margins_tmpl.h -- products of samples with parameters, written once for all losses; no threads here.
 *
 * Included by other templates, once per (instruction set, dtype). The order of every sum is written down here, so that
 * vectors of any width give the same bits. `format` is a constant in each call: it costs nothing inside. */

/* Entries that a dense product or a sum of squares sums side by side. */
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

FO_INLINE double FN(sum_squares)(const real *x, ptrdiff_t n)
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

/* The derivative of n that is largest, or NaN if any of them is. */
FO_INLINE real FN(largest)(const real *d, ptrdiff_t n)
{
    real most = 0, check = 0;
    if (n == 1)
        return *d;
    for (ptrdiff_t k = 0; k < n; ++k) {
        most = MAX(most, ABS(d[k]));
        check += ZERO_IF_FINITE(d[k]);
    }
    return check == 0 ? most : check;
}

/* Whether the gradient of a sample, a derivative times its entries, is finite; data are. */
FO_INLINE int FN(gradient_is_finite)(fo_sample at, real derivative)
{
    const real *x = at.data;
    int n_bad = 0;
    if (!(ABS(derivative) > 1))
        return IS_FINITE(derivative);
    for (ptrdiff_t j = 0; j < at.n; ++j)
        n_bad += !IS_FINITE(derivative * x[j]);
    return n_bad == 0 && IS_FINITE(derivative);
}

/* The product of a CSR sample with w, or with parameters gathered at `indices`. */
FO_INLINE double FN(csr_dot)(fo_sample at, const real *w, const fo_format format)
{
    const real *x = at.data;
    double a = 0.0, b = 0.0, c = 0.0, d = 0.0;   /* four chains of additions side by side */
    ptrdiff_t k = 0;
    for (; k + 4 <= at.n; k += 4) {
        a += (double)x[k] * w[column_of(at, k, format)];
        b += (double)x[k + 1] * w[column_of(at, k + 1, format)];
        c += (double)x[k + 2] * w[column_of(at, k + 2, format)];
        d += (double)x[k + 3] * w[column_of(at, k + 3, format)];
    }
    for (; k < at.n; ++k)
        a += (double)x[k] * w[column_of(at, k, format)];
    return (a + b) + (c + d);
}

FO_INLINE double FN(dot)(fo_sample at, const real *w, const fo_format format)
{
    return format == FO_DENSE_SAMPLES ? FN(dense_dot)(at.data, w, at.n) : FN(csr_dot)(at, w, format);
}

/* z += x w for all outputs. */
FO_INLINE void FN(add_product)(real x, const real *w, ptrdiff_t n_outputs, real *FO_RESTRICT z)
{
    FO_SIMD
    for (ptrdiff_t k = 0; k < n_outputs; ++k)
        z[k] += x * w[k];
}

/* Margins of one sample; `intercept` has n_outputs entries, or is NULL. */
FO_INLINE void FN(margin)(fo_sample at, const real *w, const real *intercept, ptrdiff_t n_outputs, real *z,
                          const fo_format format)
{
    const real *x = at.data;
    if (n_outputs == 1) {
        z[0] = (real)(FN(dot)(at, w, format) + (intercept ? intercept[0] : 0));
        return;
    }
    for (ptrdiff_t k = 0; k < n_outputs; ++k)
        z[k] = intercept ? intercept[k] : 0;
    for (ptrdiff_t j = 0; j < at.n; ++j)
        FN(add_product)(x[j], w + column_of(at, j, format) * n_outputs, n_outputs, z);
}
