/* orthogonal.h -- the steps of rules that make a direction orthogonal before they take it, a matrix at a time.
 *
 * An array is a stack of matrices of its last two axes; a vector is a matrix of one row. Of each matrix: a pass that
 * writes its direction into the workspace, and sums squares; the Newton-Schulz iteration there, whose products BLAS
 * takes; and the update, with the direction in the place of the gradient. */
#ifndef FO_ORTHOGONAL_H
#define FO_ORTHOGONAL_H

#include "fastopt.h"

/* Room for one matrix of any array: `x` and `next` for its entries, the others for the square of its shorter side. */
struct fo_orthogonal {
    void *x, *next;
    void *gram, *polynomial;
};

/* Writes the directions of n entries, and adds their squares to the first sum of step->lanes. */
typedef void fo_direct_kernel(const fo_array *array, const fo_step *step, ptrdiff_t n, void *x);

struct fo_orthogonal_kernels {
    fo_direct_kernel *const *direct;   /* indexed by form */
    /* x times both factors, one after the other. */
    void (*scale)(void *x, ptrdiff_t n, double first, double second);
    /* Makes x orthogonal, with next as room for it; returns the one of the two that it is in. */
    void *(*iterate)(const fo_array *array, const fo_step *step, const fo_orthogonal *room, int num_threads);
    double (*least)(const fo_step *step);   /* norm */
};

/* Columns in a block of those that are transposed: a block of rows and columns has to stay in the cache. */
enum { TRANSPOSED = 32 };

void fo_step_orthogonal(fo_optimizer *it, int num_threads);

#endif
