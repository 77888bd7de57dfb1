/* lagged_penalty.c -- the kernels of lagged_penalty.h in every variant, and what needs none. */
#include "finite_sum/lagged_penalty.h"
#include "core/numerics.h"
#include "finite_sum/penalty_flow.h"

/* As the functions of lagged_penalty.h. */
typedef struct {
    void (*update)(const fo_penalty *it, const void *columns, int index64, ptrdiff_t lo, ptrdiff_t hi, int64_t t);
    void (*add_gradient)(const fo_penalty *it, const void *columns, int index64, ptrdiff_t n, int64_t t, void *g);
    void (*soft_threshold_all)(const fo_penalty *it, ptrdiff_t lo, ptrdiff_t hi, double rate);
} penalty_kernels;

#define PREFIX penalty
#define FO_TEMPLATE "finite_sum/lagged_penalty_tmpl.h"
#include "core/variants.h"
FO_KERNEL_TABLE(const penalty_kernels);

void fo_lagged_update(const fo_penalty *it, const void *columns, int index64, ptrdiff_t lo, ptrdiff_t hi, int64_t t)
{
    FO_KERNELS(it->dtype)->update(it, columns, index64, lo, hi, t);
}

void fo_add_lagged_gradient(const fo_penalty *it, const void *columns, int index64, ptrdiff_t n, int64_t t,
                            void *gradient)
{
    FO_KERNELS(it->dtype)->add_gradient(it, columns, index64, n, t, gradient);
}

void fo_soft_threshold_all(const fo_penalty *it, ptrdiff_t lo, ptrdiff_t hi, double learning_rate)
{
    FO_KERNELS(it->dtype)->soft_threshold_all(it, lo, hi, learning_rate);
}

void fo_mark_updated(const fo_penalty *it, const void *columns, int index64, ptrdiff_t n, int64_t t)
{
    for (ptrdiff_t j = 0; j < n; ++j) {
        int64_t *last = it->last_update + load_index(columns, index64, j);
        *last = *last < t ? t : *last;   /* a lock-free worker may be further on */
    }
}
