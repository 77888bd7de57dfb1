/* sample_outputs_tmpl.h -- one sample and the weights of several outputs, a row for each of its columns: margins, and
 * the steps of single_sample_sgd_tmpl.h, of which this is a part. In tiles of outputs, and some columns at a time,
 * whose rows stay in the first-level cache from one tile to the next. */

/* The columns [lo, hi) of a sample, and what their step needs beside the derivatives. */
typedef struct {
    fo_sample at;
    ptrdiff_t lo, hi, n_outputs;
    double penalty;              /* with l1: cumulative, before the step; of unscaled weights, its threshold */
    real rate, l2;               /* of unscaled weights */
} FN(part);

/* The row of entry j of a sample; `row` is that of column 0, or of the outputs from some tile on. */
#define FO_ROW(it, row, j, format) ((row) + column_of((it)->at, j, format) * (it)->n_outputs)

/* The part that begins at column lo. */
FO_INLINE FN(part) FN(part_from)(FN(part) part, ptrdiff_t lo)
{
    part.lo = lo;
    part.hi = MIN(lo + SOME_COLUMNS, part.at.n);
    return part;
}

/* --- margins ------------------------------------------------------------------------------------------------------ */

/* sum += x w for one column and `width` outputs. */
FO_INLINE void FN(add_row)(real x, const real *w, real *sum, const int width)
{
    FO_SIMD
    for (int k = 0; k < width; ++k)
        sum[k] += x * w[k];
}

/* z += the products of a part, in CHAINS chains of additions side by side. */
FO_INLINE void FN(products_of_tile)(const FN(part) *it, const real *w, real *FO_RESTRICT z, const fo_format format,
                                    const int width)
{
    const real *x = it->at.data;
    real sum[CHAINS][TILE_OUTPUTS] = {{0}};
    ptrdiff_t j = it->lo;
    for (; j + CHAINS <= it->hi; j += CHAINS)
        for (int c = 0; c < CHAINS; ++c)
            FN(add_row)(x[j + c], FO_ROW(it, w, j + c, format), sum[c], width);
    for (; j < it->hi; ++j)
        FN(add_row)(x[j], FO_ROW(it, w, j, format), sum[0], width);
    for (int k = 0; k < width; ++k)
        z[k] += (sum[0][k] + sum[1][k]) + (sum[2][k] + sum[3][k]);
}

/* z = scale times the products of a sample, plus the intercepts, which may be NULL. */
FO_INLINE void FN(margins)(FN(part) part, const real *w, const real *intercept, double scale, real *FO_RESTRICT z,
                           const fo_format format)
{
    memset(z, 0, (size_t)part.n_outputs * sizeof(real));
    for (ptrdiff_t lo = 0; lo < part.at.n; lo += SOME_COLUMNS) {
        const FN(part) some = FN(part_from)(part, lo);
        FO_IN_TILES(FN(products_of_tile), &some, w, z, format);
    }
    for (ptrdiff_t k = 0; k < part.n_outputs; ++k)
        z[k] = (real)(scale * z[k] + (intercept ? intercept[k] : 0));
}

/* With l1: scaled weights without the threshold, side by side. */
FO_INLINE void FN(gather_rows)(FN(part) part, const double *v, real *FO_RESTRICT w, const fo_format format)
{
    const ptrdiff_t n_outputs = part.n_outputs;
    for (ptrdiff_t j = 0; j < part.at.n; ++j) {
        const double *row = FO_ROW(&part, v, j, format);
        FO_SIMD
        for (ptrdiff_t k = 0; k < n_outputs; ++k)
            w[j * n_outputs + k] = (real)soft_threshold(row[k], part.penalty);
    }
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

/* `width` numbers beside each other, where the compiler knows that no store changes them. */
typedef struct {
    real of[TILE_OUTPUTS];
} FN(numbers);

FO_INLINE FN(numbers) FN(numbers_at)(const real *from, const int width)
{
    FN(numbers) to = {{0}};
    for (int k = 0; k < width; ++k)
        to.of[k] = from[k];
    return to;
}

/* w -= change x */
FO_INLINE void FN(step_of_tile)(const FN(part) *it, const real *changes, real *w, const fo_format format,
                                const int width)
{
    const FN(numbers) change = FN(numbers_at)(changes, width);
    for (ptrdiff_t j = it->lo; j < it->hi; ++j) {
        const real x = ((const real *)it->at.data)[j];
        real *row = FO_ROW(it, w, j, format);
        FO_SIMD
        for (int k = 0; k < width; ++k)
            row[k] -= change.of[k] * x;
    }
}

/* The same of scaled weights with l1. Lock-free workers may have been there since the margins. */
FO_INLINE void FN(scaled_step_of_tile)(const FN(part) *it, const real *changes, double *v, const fo_format format,
                                       const int width)
{
    const FN(numbers) change = FN(numbers_at)(changes, width);
    const double penalty = it->penalty;
    for (ptrdiff_t j = it->lo; j < it->hi; ++j) {
        const double x = ((const real *)it->at.data)[j];
        double *row = FO_ROW(it, v, j, format);
        FO_SIMD
        for (int k = 0; k < width; ++k)
            row[k] = to_scaled(soft_threshold(row[k], penalty) - change.of[k] * x, 1.0, penalty);
    }
}

/* A weight that is not scaled after a step with l2 and l1, as a rule and a dense step make it. */
FO_INLINE real FN(unscaled_step)(const FN(part) *it, real w, real gradient)
{
    return (real)soft_threshold(w - it->rate * (gradient + it->l2 * w), it->penalty);
}

FO_INLINE void FN(unscaled_step_of_tile)(const FN(part) *it, const real *derivatives, real *w, const fo_format format,
                                         const int width)
{
    const FN(numbers) d = FN(numbers_at)(derivatives, width);
    const FN(part) part = *it;
    for (ptrdiff_t j = part.lo; j < part.hi; ++j) {
        const real x = ((const real *)part.at.data)[j];
        real *row = FO_ROW(&part, w, j, format);
        FO_SIMD
        for (int k = 0; k < width; ++k)
            row[k] = FN(unscaled_step)(&part, row[k], d.of[k] * x);
    }
}
