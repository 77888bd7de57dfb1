/* lines.c -- how matrices are cut into tiles, and the passes of a step over them. */
#include <string.h>
#include "update/lines.h"
#include "update/sums.h"

/* Entries in a tile at least, where there are as many, and more in large arrays; bands of a matrix at most, as each has
 * sums of all columns. */
enum { TILE_ENTRIES = 65536, MOST_BANDS = 64 };

static ptrdiff_t parts(ptrdiff_t n, ptrdiff_t size) { return (n + size - 1) / size; }

static fo_lines cut(const fo_array *array)
{
    fo_lines it = {0};
    const ptrdiff_t rows = array->rows, columns = array->columns;
    if (array->size == 0)
        return it;
    const ptrdiff_t share = array->size / FO_MAX_CHUNKS, entries = share > TILE_ENTRIES ? share : TILE_ENTRIES;
    const ptrdiff_t width = columns < FO_GRADIENT_BUFFER ? columns : FO_GRADIENT_BUFFER;
    const ptrdiff_t high = parts(entries, width), least = parts(rows, MOST_BANDS);
    it.matrices = array->size / (rows * columns);
    it.band = high > least ? high : least;
    it.bands = parts(rows, it.band);
    it.width = FO_GRADIENT_BUFFER * parts(entries, FO_GRADIENT_BUFFER * (it.band < rows ? it.band : rows));
    it.segments = parts(columns, it.width);
    it.stacked = it.bands * it.segments > 1 ? 1 : parts(entries, rows * columns);
    it.tiles = it.stacked > 1 ? parts(it.matrices, it.stacked) : it.matrices * it.bands * it.segments;
    return it;
}

/* Gives each array its part of the workspace; the bytes that all take together. */
static size_t lay_out(const fo_work *work, fo_lines *all, char *memory)
{
    size_t at = (size_t)work->n_arrays * sizeof *all;
    for (ptrdiff_t k = 0; k < work->n_arrays; ++k) {
        const fo_array *array = &work->arrays[k];
        fo_lines it = cut(array);
        const size_t n_rows = (size_t)(it.matrices * array->rows * it.segments), n_means = (size_t)it.matrices;
        const size_t n_columns = array->rows > 1 ? (size_t)(it.matrices * it.bands * array->columns) : 0;
        if (all) {
            it.row_sums = (double *)(memory + at);
            it.column_sums = n_columns ? it.row_sums + n_rows : NULL;
            it.means = it.row_sums + n_rows + n_columns;
            it.sums = (fo_sums *)(it.means + n_means);
            all[k] = it;
        }
        at += (n_rows + n_columns + n_means) * sizeof(double) + (size_t)it.tiles * sizeof(fo_sums);
    }
    return at;
}

size_t fo_lines_workspace(const fo_work *work) { return lay_out(work, NULL, NULL); }

fo_lines *fo_bind_lines(const fo_work *work, void *workspace)
{
    lay_out(work, workspace, workspace);
    return workspace;
}

/* What all threads share. */
typedef struct {
    const fo_optimizer *it;
    fo_tile_pass pass;
    int wants_probe;             /* whether gradients are finite is asked, too */
} lines_task;

static const fo_line_kernels *kernels_of(const lines_task *task, const fo_array *array)
{
    return fo_kernels_of(task->it->rule, array->dtype)->lines;
}

/* The scalars of one array: of the first pass those of its group. */
static fo_step step_of(const lines_task *task, const fo_array *array)
{
    fo_step step = task->it->groups[array->group].step;
    if (task->pass != FO_MEASURE && task->it->rule->adjust)
        memcpy(step.coef, array->own->coef, sizeof step.coef);
    return step;
}

/* Tiles and matrices that a step visits. */
static ptrdiff_t tiles_of(const lines_task *task, ptrdiff_t k)
{
    return task->it->work.arrays[k].layout == FO_ABSENT ? 0 : task->it->lines[k].tiles;
}

static ptrdiff_t matrices_of(const lines_task *task, ptrdiff_t k)
{
    return task->it->work.arrays[k].layout == FO_ABSENT ? 0 : task->it->lines[k].matrices;
}

static fo_tile tile_at(const fo_array *array, const fo_lines *lines, ptrdiff_t k)
{
    fo_tile tile = {array, lines, 0, 0, 0, array->rows, 0, array->columns};
    if (lines->stacked > 1) {
        tile.first = k * lines->stacked;
        tile.last = tile.first + lines->stacked < lines->matrices ? tile.first + lines->stacked : lines->matrices;
        return tile;
    }
    tile.column = k % lines->segments * lines->width;
    tile.row = k / lines->segments % lines->bands * lines->band;
    tile.first = k / lines->segments / lines->bands;
    tile.last = tile.first + 1;
    if (tile.column + lines->width < array->columns)
        tile.column_end = tile.column + lines->width;
    if (tile.row + lines->band < array->rows)
        tile.row_end = tile.row + lines->band;
    return tile;
}

/* Tiles [lo, hi), counted over all arrays. */
static void run_tiles(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const lines_task *task = context;
    const fo_work *work = &task->it->work;
    fo_lanes lanes;
    ptrdiff_t first = 0;
    for (ptrdiff_t k = 0; k < work->n_arrays && first < hi; first += tiles_of(task, k++)) {
        const fo_array *array = &work->arrays[k];
        const fo_lines *lines = &task->it->lines[k];
        const ptrdiff_t n = tiles_of(task, k), from = lo > first ? lo - first : 0, to = hi - first < n ? hi - first : n;
        fo_step step = step_of(task, array);
        step.lanes = &lanes;
        for (ptrdiff_t at = from; at < to; ++at) {
            const fo_tile tile = tile_at(array, lines, at);
            fo_start_lanes(&lanes, 0, FO_MAX_SUMS, task->wants_probe);
            kernels_of(task, array)->tiles[task->pass][task->it->form | step.modified](&tile, &step);
            lines->sums[at] = fo_total_lanes(&lanes, 0, FO_MAX_SUMS, array->dtype);
        }
    }
}

/* One pass; the sums of each array are written into it, and those of all returned. */
static fo_sums run_pass(fo_optimizer *it, fo_tile_pass pass, int wants_probe, int num_threads)
{
    const lines_task task = {it, pass, wants_probe};
    fo_sums total = {0};
    ptrdiff_t n = 0;
    for (ptrdiff_t k = 0; k < it->work.n_arrays; ++k)
        n += tiles_of(&task, k);
    fo_parallel_for(n, num_threads, run_tiles, &task);
    for (ptrdiff_t k = 0; k < it->work.n_arrays; ++k) {
        fo_sums sums = {0};
        for (ptrdiff_t at = 0; at < tiles_of(&task, k); ++at)
            sums = fo_add_sums(sums, it->lines[k].sums[at]);
        it->work.arrays[k].own->sums = sums;
        total = fo_add_sums(total, sums);
    }
    return total;
}

fo_sums fo_measure_lines(fo_optimizer *it, int wants_probe, int num_threads)
{
    return run_pass(it, FO_MEASURE, wants_probe, num_threads);
}

/* Pieces of all lines of array k, FO_GRADIENT_BUFFER of them in each: rows first. */
static ptrdiff_t row_pieces(const lines_task *task, ptrdiff_t k)
{
    return parts(matrices_of(task, k) * task->it->work.arrays[k].rows, FO_GRADIENT_BUFFER);
}

static ptrdiff_t column_pieces(const lines_task *task, ptrdiff_t k)
{
    return parts(matrices_of(task, k) * task->it->work.arrays[k].columns, FO_GRADIENT_BUFFER);
}

static void fold_piece(const lines_task *task, ptrdiff_t k, ptrdiff_t piece)
{
    const fo_array *array = &task->it->work.arrays[k];
    const fo_lines *lines = &task->it->lines[k];
    const fo_line_kernels *kernels = kernels_of(task, array);
    const fo_step step = step_of(task, array);
    const ptrdiff_t rows = row_pieces(task, k), is_row = piece < rows;
    const ptrdiff_t n = lines->matrices * (is_row ? array->rows : array->columns);
    const ptrdiff_t start = (is_row ? piece : piece - rows) * FO_GRADIENT_BUFFER;
    const ptrdiff_t stop = start + FO_GRADIENT_BUFFER < n ? start + FO_GRADIENT_BUFFER : n;
    const int form = task->it->form | step.modified;
    (is_row ? kernels->fold_rows : kernels->fold_columns[form])(array, lines, &step, start, stop);
}

/* Pieces [lo, hi), counted over all arrays. */
static void fold_pieces(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const lines_task *task = context;
    ptrdiff_t first = 0;
    for (ptrdiff_t k = 0; k < task->it->work.n_arrays && first < hi; ++k) {
        const ptrdiff_t n = row_pieces(task, k) + column_pieces(task, k);
        for (ptrdiff_t at = lo > first ? lo - first : 0; at < n && at < hi - first; ++at)
            fold_piece(task, k, at);
        first += n;
    }
}

/* The means of the slot of rows, of the matrices [lo, hi) counted over all arrays. */
static void take_means(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const lines_task *task = context;
    ptrdiff_t first = 0;
    for (ptrdiff_t k = 0; k < task->it->work.n_arrays && first < hi; first += matrices_of(task, k++)) {
        const fo_array *array = &task->it->work.arrays[k];
        const fo_lines *lines = &task->it->lines[k];
        const ptrdiff_t from = lo > first ? lo - first : 0, n = matrices_of(task, k);
        const ptrdiff_t to = hi - first < n ? hi - first : n;
        if (from < to)
            kernels_of(task, array)->take_means(array, lines, &task->it->groups[array->group].step, from, to);
    }
}

static void fold_lines(const fo_optimizer *it, int num_threads)
{
    const lines_task task = {it, FO_UPDATE, 0};
    ptrdiff_t pieces = 0, matrices = 0;
    for (ptrdiff_t k = 0; k < it->work.n_arrays; ++k) {
        pieces += row_pieces(&task, k) + column_pieces(&task, k);
        matrices += matrices_of(&task, k);
    }
    fo_parallel_for(pieces, num_threads, fold_pieces, &task);
    fo_parallel_for(matrices, num_threads, take_means, &task);
}

void fo_step_lines(fo_optimizer *it, int num_threads)
{
    fold_lines(it, num_threads);
    if (it->rule->settle) {
        run_pass(it, FO_BETWEEN, 0, num_threads);
        for (ptrdiff_t k = 0; k < it->work.n_arrays; ++k) {
            const fo_array *array = &it->work.arrays[k];
            it->rule->settle(it->groups[array->group].hyper, array, array->own->coef);
        }
    }
    run_pass(it, FO_UPDATE, 0, num_threads);
}
