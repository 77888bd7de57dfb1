/* lines_tmpl.h -- the loops of a rule with sums over lines of matrices, a tile at a time; no threads here.
 *
 * A tile is visited row by row, at most FO_GRADIENT_BUFFER entries each: as many of any gradient can be brought into
 * the cache. The rule has, beside measure() and update(), measure_between(), update_line() for the number of a line
 * from the mean of its sum, and adjust_line() for the scalars of a row of a matrix. */

#define OVER_LINES(name, when, over) FO_LINE(when, over, FO_SUM_##name)
#define COLUMNS_FROM(slot) stream.slot = (const real *)array->state[FO_SLOT_##slot] + first_column;
#define SLOT_OF(slot) (real *)array->state[FO_SLOT_##slot]

/* The entries of a row from a column on, with a gradient that is gathered into the buffer if need be. */
FO_INLINE FN(streams) FN(streams_at)(const fo_array *array, ptrdiff_t row, ptrdiff_t column, ptrdiff_t n, void *buffer)
{
    const ptrdiff_t entry = row * array->columns + column;
    const ptrdiff_t first_column = row / array->rows * array->columns + column;
    FN(streams) stream = FN(advance)(FN(streams_of)(array), entry, 0);
    stream.g = (const real *)fo_dense_gradient(array, entry, entry + n, buffer);
    MATRIX_COLUMN_SLOTS(COLUMNS_FROM)
    return stream;
}

/* One pass over a row of a tile; `columns` are the sums of its columns. */
FO_INLINE void FN(tile_row)(const fo_tile *tile, const fo_step *step, ptrdiff_t row, double *columns,
                            const fo_tile_pass pass, const int form)
{
    double buffer[FO_GRADIENT_BUFFER];
    const fo_array *array = tile->array;
    const fo_lines *lines = tile->lines;
    const FN(modifiers) modifiers = FN(modifiers_of)(step);
    const int when = pass == FO_BETWEEN ? FO_WHEN_between : FO_WHEN_before;
    FN(coefs) c = FN(round)(step);
    FN(lanes) lanes = {0};
    FN(load_lanes)(&lanes, step->lanes, when);
    if (pass != FO_MEASURE && array->is_matrix) {
        const real *slot = MATRIX_ROW_SLOTS(SLOT_OF);
        FN(adjust_line)(slot[row], (real)lines->means[row / array->rows], &c);
    }
    for (ptrdiff_t column = tile->column, n; column < tile->column_end; column += n) {
        n = tile->column_end - column < FO_GRADIENT_BUFFER ? tile->column_end - column : FO_GRADIENT_BUFFER;
        FN(streams) stream = FN(streams_at)(array, row, column, n, buffer);
        if (pass == FO_UPDATE)
            FN(update_range)(stream, n, &c, &modifiers, NULL, form);
        else if (pass == FO_BETWEEN || !columns)
            FN(measure_range)(stream, n, &c, &modifiers, &lanes, 0, when, form);
        else {
            stream.column_sums = columns + (column - tile->column);
            FN(measure_range)(stream, n, &c, &modifiers, &lanes, 1, when, form);
        }
        if (pass == FO_MEASURE && step->lanes->wants_probe)
            step->lanes->probe += FN(probe)(stream.g, n);
    }
    if (pass == FO_MEASURE) {
        double (*of_row)[LANES] = lanes.sum[SUMS(OVER_LINES)];
        lines->row_sums[row * lines->segments + tile->column / lines->width] = fo_add_lanes(of_row[0]);
        memset(of_row, 0, sizeof lanes.sum[0]);
    }
    if (pass != FO_UPDATE)
        FN(save_lanes)(&lanes, step->lanes, when);
}

FO_INLINE void FN(tile)(const fo_tile *tile, const fo_step *step, const fo_tile_pass pass, const int form)
{
    const fo_array *array = tile->array;
    const fo_lines *lines = tile->lines;
    for (ptrdiff_t matrix = tile->first; matrix < tile->last; ++matrix) {
        const ptrdiff_t band = matrix * lines->bands + tile->row / lines->band, first_row = matrix * array->rows;
        double *columns = lines->column_sums ? lines->column_sums + band * array->columns + tile->column : NULL;
        if (pass == FO_MEASURE && columns)
            memset(columns, 0, (size_t)(tile->column_end - tile->column) * sizeof *columns);
        for (ptrdiff_t row = first_row + tile->row; row < first_row + tile->row_end; ++row)
            FN(tile_row)(tile, step, row, columns, pass, form);
    }
}

static void FN(fold_rows)(const fo_array *array, const fo_lines *lines, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi)
{
    const FN(coefs) c = FN(round)(step);
    real *slot = MATRIX_ROW_SLOTS(SLOT_OF);
    for (ptrdiff_t row = lo; row < hi; ++row) {
        double sum = 0.0;
        for (ptrdiff_t k = 0; k < lines->segments; ++k)
            sum += lines->row_sums[row * lines->segments + k];
        slot[row] = FN(update_line)((real)(sum / (double)array->columns), slot[row], &c);
    }
}

/* Adds the sums of the columns [lo, hi) in each band. */
FO_INLINE void FN(add_bands)(const fo_array *array, const fo_lines *lines, ptrdiff_t lo, ptrdiff_t hi, double *sum)
{
    for (ptrdiff_t at = lo, n; at < hi; at += n) {
        const ptrdiff_t matrix = at / array->columns, column = at % array->columns, left = array->columns - column;
        n = left < hi - at ? left : hi - at;
        for (ptrdiff_t band = matrix * lines->bands; band < (matrix + 1) * lines->bands; ++band)
            for (ptrdiff_t k = 0; k < n; ++k)
                sum[at - lo + k] += lines->column_sums[band * array->columns + column + k];
    }
}

/* Where a matrix has one row, the sums of columns are its own products, which are taken once more and not kept. */
FO_INLINE void FN(fold_columns)(const fo_array *array, const fo_lines *lines, const fo_step *step, ptrdiff_t lo,
                                ptrdiff_t hi, const int form)
{
    double buffer[FO_GRADIENT_BUFFER], sum[FO_GRADIENT_BUFFER];
    const FN(coefs) c = FN(round)(step);
    real *slot = MATRIX_COLUMN_SLOTS(SLOT_OF);
    memset(sum, 0, (size_t)(hi - lo) * sizeof *sum);
    if (lines->column_sums)
        FN(add_bands)(array, lines, lo, hi, sum);
    else {
        const FN(modifiers) modifiers = FN(modifiers_of)(step);
        FN(streams) stream = FN(advance)(FN(streams_of)(array), lo, 0);
        FN(lanes) unused = {0};
        stream.g = (const real *)fo_dense_gradient(array, lo, hi, buffer);
        stream.column_sums = sum;
        FN(measure_range)(stream, hi - lo, &c, &modifiers, &unused, 1, FO_WHEN_before, form);
    }
    for (ptrdiff_t k = lo; k < hi; ++k)
        slot[k] = FN(update_line)((real)(sum[k - lo] / (double)array->rows), slot[k], &c);
}

static void FN(take_means)(const fo_array *array, const fo_lines *lines, const fo_step *step, ptrdiff_t lo,
                           ptrdiff_t hi)
{
    const real *slot = MATRIX_ROW_SLOTS(SLOT_OF);
    (void)step;
    for (ptrdiff_t matrix = lo; matrix < hi; ++matrix) {
        double sum = 0.0;
        for (ptrdiff_t row = 0; row < array->rows; ++row)
            sum += slot[matrix * array->rows + row];
        lines->means[matrix] = sum / (double)array->rows;
    }
}

#define LINE_KERNELS(k) \
    static void FN(measure_lines_##k)(const fo_tile *tile, const fo_step *step) \
    { FN(tile)(tile, step, FO_MEASURE, k); } \
    static void FN(between_##k)(const fo_tile *tile, const fo_step *step) \
    { FN(tile)(tile, step, FO_BETWEEN, k); } \
    static void FN(update_lines_##k)(const fo_tile *tile, const fo_step *step) \
    { FN(tile)(tile, step, FO_UPDATE, k); } \
    static void FN(fold_columns_##k)(const fo_array *array, const fo_lines *lines, const fo_step *step, ptrdiff_t lo, \
                                     ptrdiff_t hi) \
    { FN(fold_columns)(array, lines, step, lo, hi, k); }
#define MEASURE_LINES(k) FN(measure_lines_##k),
#define BETWEEN(k) FN(between_##k),
#define UPDATE_LINES(k) FN(update_lines_##k),
#define FOLD_COLUMNS(k) FN(fold_columns_##k),
FO_FORMS(LINE_KERNELS)
static fo_tile_kernel *const FN(measure_lines_forms)[] = {FO_FORMS(MEASURE_LINES)};
static fo_tile_kernel *const FN(between_forms)[] = {FO_FORMS(BETWEEN)};
static fo_tile_kernel *const FN(update_lines_forms)[] = {FO_FORMS(UPDATE_LINES)};
static fo_fold_kernel *const FN(fold_columns_forms)[] = {FO_FORMS(FOLD_COLUMNS)};
static const fo_line_kernels FN(line_kernels) = {
    {FN(measure_lines_forms), FN(between_forms), FN(update_lines_forms)},
    FN(fold_rows),
    FN(fold_columns_forms),
    FN(take_means),
};

#undef OVER_LINES
#undef COLUMNS_FROM
#undef SLOT_OF
#undef LINE_KERNELS
#undef MEASURE_LINES
#undef BETWEEN
#undef UPDATE_LINES
#undef FOLD_COLUMNS
