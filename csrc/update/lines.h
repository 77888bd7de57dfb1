/* lines.h -- lines of matrices, which are their rows and columns: the steps of rules that have sums over them.
 *
 * An array is a stack of matrices of its last two axes; a vector is a matrix of one row. Matrices are cut into tiles in
 * a way that depends on the shape only: bands of rows, and of these segments of columns; or small matrices are stacked.
 * Each tile has sums of its own for each of its rows and columns, which are added in order, so that results are the
 * same bits for any number of threads. */
#ifndef FO_LINES_H
#define FO_LINES_H

#include "fastopt.h"

/* The lines of one array, and the workspace for their sums. */
struct fo_lines {
    ptrdiff_t matrices;
    ptrdiff_t bands, band;       /* of a matrix; rows in a band */
    ptrdiff_t segments, width;   /* of a row; columns in a segment, a multiple of FO_GRADIENT_BUFFER */
    ptrdiff_t stacked;           /* matrices in a tile: 1 if a matrix has several tiles */
    ptrdiff_t tiles;
    double *row_sums;            /* [matrix][row][segment] */
    double *column_sums;         /* [matrix][band][column]; NULL where one row is all */
    double *means;               /* of the slot of rows: one for each matrix */
    fo_sums *sums;               /* one for each tile */
};

/* A part of an array: the matrices [first, last), and of each of them these rows and columns. */
typedef struct {
    const fo_array *array;
    const fo_lines *lines;
    ptrdiff_t first, last, row, row_end, column, column_end;
} fo_tile;

/* The passes of a step over tiles; products are added to step->lanes. FO_MEASURE writes sums of lines, too, which
 * are not summed over the array. */
typedef enum { FO_MEASURE, FO_BETWEEN, FO_UPDATE, FO_N_TILE_PASSES } fo_tile_pass;
typedef void fo_tile_kernel(const fo_tile *tile, const fo_step *step);

/* Updates the numbers [lo, hi) of the slot of rows or of columns, from the sums of their lines. */
typedef void fo_fold_kernel(const fo_array *array, const fo_lines *lines, const fo_step *step, ptrdiff_t lo,
                            ptrdiff_t hi);

struct fo_line_kernels {
    fo_tile_kernel *const *tiles[FO_N_TILE_PASSES];   /* indexed by form */
    fo_fold_kernel *fold_rows;
    fo_fold_kernel *const *fold_columns;              /* indexed by form; FO_GRADIENT_BUFFER columns at most */
    fo_fold_kernel *take_means;                       /* of the matrices [lo, hi) */
};

/* The first pass: nothing but workspace is written. Returns the sums over all arrays. */
fo_sums fo_measure_lines(fo_optimizer *it, int wants_probe, int num_threads);
/* All that follows: the numbers of lines, the sums between, and the update. */
void fo_step_lines(fo_optimizer *it, int num_threads);

#endif
