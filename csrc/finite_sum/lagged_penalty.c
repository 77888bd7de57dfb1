/* lagged_penalty.c -- the kernels of lagged_penalty.h in every variant, and what needs none. */
#include <string.h>
#include "finite_sum/lagged_penalty.h"
#include "core/numerics.h"
#include "core/prefetch.h"
#include "finite_sum/penalty_flow.h"
#include "finite_sum/records.h"

/* As the functions of lagged_penalty.h. */
typedef struct {
    void (*update)(const fo_penalty *it, fo_columns columns, int64_t t, void *gathered);
    void (*flush)(const fo_penalty *it, ptrdiff_t lo, ptrdiff_t hi, int64_t t);
    void (*gather)(const fo_penalty *it, fo_columns columns, int64_t t, int mark, void *gathered, int32_t *left);
    void (*add_gradient)(const fo_penalty *it, ptrdiff_t n, int64_t t, const void *gathered, const int32_t *left,
                         void *gradient);
    void (*soft_threshold_all)(const fo_penalty *it, ptrdiff_t lo, ptrdiff_t hi, double rate);
} penalty_kernels;

enum { BLOCK_COLUMNS = 128 };

/* u = l2 s from which on exp(-u) is as precise as the series of phi, and below which few of its terms are. */
#define LARGE_DECAY 0.25
#define TINY_DECAY 0x1p-12
enum { TERMS = 11, TERMS_OF_TINY = 4 };

/* Volatile: compilers shall make no gather and scatter instructions of loops over columns, which take longer. */
FO_INLINE volatile int32_t *left_of(const fo_penalty *it, ptrdiff_t position)
{
    return it->left_after + position * it->left_spacing;
}

/* A column gets a gradient in the step after entry `now` of the tables. */
FO_INLINE void mark_left(const fo_penalty *it, ptrdiff_t position, ptrdiff_t now)
{
    volatile int32_t *left = left_of(it, position);
    if (*left < (int32_t)now + 1)        /* a lock-free worker may be further on */
        *left = (int32_t)now + 1;
}

FO_INLINE ptrdiff_t position_of(fo_columns columns, const int index64, ptrdiff_t k)
{
    return load_index(columns.positions, index64, k);
}

/* The same, where columns without a list are all of them. */
FO_INLINE ptrdiff_t position_among(const fo_penalty *it, fo_columns columns, const int index64, ptrdiff_t k)
{
    return columns.positions ? position_of(columns, index64, k) : k * it->spacing;
}

#define PREFIX penalty
#define FO_TEMPLATE "finite_sum/lagged_penalty_tmpl.h"
#include "core/variants.h"
FO_KERNEL_TABLE(const penalty_kernels);

void fo_lagged_update(const fo_penalty *it, fo_columns columns, int64_t t, void *gathered)
{
    FO_KERNELS(it->dtype)->update(it, columns, t, gathered);
}

/* What all threads share. */
typedef struct {
    const fo_penalty *penalty;
    int64_t t;
} flush_task;

static void flush_blocks(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const flush_task *it = context;
    FO_KERNELS(it->penalty->dtype)->flush(it->penalty, lo, hi, it->t);
}

void fo_flush_lagged(const fo_penalty *it, int64_t t, int num_threads)
{
    const flush_task task = {it, t};
    const ptrdiff_t n_blocks = (it->n_columns + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS;
    const ptrdiff_t bytes = it->n_columns * it->width * (ptrdiff_t)fo_itemsize(it->dtype);
    fo_parallel_for(n_blocks, fo_useful_threads(bytes, num_threads), flush_blocks, &task);
}

void fo_gather_lagging(const fo_penalty *it, fo_columns columns, int64_t t, int mark, void *gathered, int32_t *left)
{
    FO_KERNELS(it->dtype)->gather(it, columns, t, mark, gathered, left);
}

void fo_add_lagged_gradient(const fo_penalty *it, ptrdiff_t n, int64_t t, const void *gathered, const int32_t *left,
                            void *gradient)
{
    FO_KERNELS(it->dtype)->add_gradient(it, n, t, gathered, left, gradient);
}

void fo_soft_threshold_all(const fo_penalty *it, ptrdiff_t lo, ptrdiff_t hi, double learning_rate)
{
    FO_KERNELS(it->dtype)->soft_threshold_all(it, lo, hi, learning_rate);
}

void fo_mark_left(const fo_penalty *it, fo_columns columns, int64_t t)
{
    for (ptrdiff_t j = 0; j < columns.n; ++j)
        mark_left(it, position_of(columns, columns.index64, j), (ptrdiff_t)(t - it->start));
}
