/* dense_outputs_tmpl.h -- dense samples and the parameters of several outputs: margins and gradients in tiles of some
 * samples by some outputs, whose numbers stay in registers.
 *
 * Each sum has the order that it has for one sample and one output after the other: the same bits with tiles of any
 * size, and with vectors of any width. */

enum { FN(TILE_SAMPLES) = 4 };

/* Consecutive samples of a batch, and the columns [lo, hi) of them. */
typedef struct {
    const real *x[FN(TILE_SAMPLES)];
    ptrdiff_t lo, hi, n_outputs;
} FN(rows);

/* z += x w for a tile of n samples by `width` outputs, both constants. */
FO_INLINE void FN(margins_of_tile)(const FN(rows) *it, const real *w, real *FO_RESTRICT z, const int n, const int width)
{
    real sum[FN(TILE_SAMPLES)][TILE_OUTPUTS];
    for (int i = 0; i < n; ++i)
        for (int k = 0; k < width; ++k)
            sum[i][k] = z[i * it->n_outputs + k];
    for (ptrdiff_t j = it->lo; j < it->hi; ++j) {
        const real *row = w + j * it->n_outputs;
        for (int i = 0; i < n; ++i) {
            const real own = it->x[i][j];
            FO_SIMD
            for (int k = 0; k < width; ++k)
                sum[i][k] += own * row[k];
        }
    }
    for (int i = 0; i < n; ++i)
        for (int k = 0; k < width; ++k)
            z[i * it->n_outputs + k] = sum[i][k];
}

/* g += the sum of d_i x_i over a tile. */
FO_INLINE void FN(gradient_of_tile)(const FN(rows) *it, const real *d, real *FO_RESTRICT g, const int n,
                                    const int width)
{
    for (ptrdiff_t j = it->lo; j < it->hi; ++j) {
        real *to = g + j * it->n_outputs;
        FO_SIMD
        for (int k = 0; k < width; ++k) {
            real sum = to[k];
            for (int i = 0; i < n; ++i)
                sum += it->x[i][j] * d[i * it->n_outputs + k];
            to[k] = sum;
        }
    }
}

FO_INLINE FN(rows) FN(rows_of)(const fo_objective *it, fo_batch batch, ptrdiff_t first, ptrdiff_t lo, ptrdiff_t hi)
{
    FN(rows) rows = {{NULL}, lo, hi, it->n_outputs};
    for (ptrdiff_t i = 0; i < FN(TILE_SAMPLES) &&first + i < batch.n; ++i) {
        prefetch_sample(it, batch, first + i, FO_DENSE_SAMPLES, sizeof(real));
        rows.x[i] = dense_sample(it, sample_of(batch, first + i), sizeof(real)).data;
    }
    return rows;
}

static void FN(dense_margins)(const fo_objective *it, fo_batch batch, const real *w, real *z)
{
    const ptrdiff_t n_outputs = it->n_outputs;
    const real *intercept = it->intercept ? w + it->n_features * n_outputs : NULL;
    for (ptrdiff_t i = 0; i < batch.n; ++i)
        for (ptrdiff_t k = 0; k < n_outputs; ++k)
            z[i * n_outputs + k] = intercept ? intercept[k] : 0;
    for (ptrdiff_t i = 0; i < batch.n; i += FN(TILE_SAMPLES)) {
        const FN(rows) rows = FN(rows_of)(it, batch, i, 0, it->n_features);
        if (batch.n - i >= FN(TILE_SAMPLES)) {
            FO_IN_TILES(FN(margins_of_tile), &rows, w, z + i * n_outputs, FN(TILE_SAMPLES));
            continue;
        }
        for (ptrdiff_t last = i; last < batch.n; ++last) {
            const FN(rows) row = {{rows.x[last - i]}, 0, it->n_features, n_outputs};
            FO_IN_TILES(FN(margins_of_tile), &row, w, z + last * n_outputs, 1);
        }
    }
}

static void FN(dense_gradient)(const fo_objective *it, fo_batch batch, const real *d, ptrdiff_t lo, ptrdiff_t hi,
                               real *g)
{
    for (ptrdiff_t i = 0; i < batch.n; i += FN(TILE_SAMPLES)) {
        const FN(rows) rows = FN(rows_of)(it, batch, i, lo, hi);
        if (batch.n - i >= FN(TILE_SAMPLES)) {
            FO_IN_TILES(FN(gradient_of_tile), &rows, d + i * it->n_outputs, g, FN(TILE_SAMPLES));
            continue;
        }
        for (ptrdiff_t last = i; last < batch.n; ++last) {
            const FN(rows) row = {{rows.x[last - i]}, lo, hi, it->n_outputs};
            FO_IN_TILES(FN(gradient_of_tile), &row, d + last * it->n_outputs, g, 1);
        }
    }
}
