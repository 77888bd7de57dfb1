/* penalty.c -- the kernels of penalty.h in every variant, and what needs none. */
#include "finite_sum/lagged_penalty.h"
#include "core/exponential.h"
#include "finite_sum/samples.h"

typedef struct {
    void (*catch_up)(const fo_penalty *it, const void *list, int wide, ptrdiff_t lo, ptrdiff_t hi, int64_t t);
    void (*add_delayed)(const fo_penalty *it, const void *list, int wide, ptrdiff_t n, int64_t t, void *gradient);
    void (*threshold_all)(const fo_penalty *it, ptrdiff_t lo, ptrdiff_t hi, double rate);
} penalty_kernels;

#define RULE penalty
#define FO_TEMPLATE "finite_sum/lagged_penalty_tmpl.h"
#include "core/variants.h"

#define ENTRY(dtype, isa) &FO_SYMBOL(RULE, kernels, dtype, isa),
static const penalty_kernels *const variants[] = {FO_FOR_EACH_VARIANT(ENTRY)};

static const penalty_kernels *kernels_of(const fo_penalty *it) { return variants[fo_variant_index(it->dtype)]; }

void fo_catch_up(const fo_penalty *it, const void *column, int wide, ptrdiff_t lo, ptrdiff_t hi, int64_t t)
{
    kernels_of(it)->catch_up(it, column, wide, lo, hi, t);
}

void fo_add_delayed(const fo_penalty *it, const void *column, int wide, ptrdiff_t n, int64_t t, void *gradient)
{
    kernels_of(it)->add_delayed(it, column, wide, n, t, gradient);
}

void fo_threshold_all(const fo_penalty *it, ptrdiff_t lo, ptrdiff_t hi, double learning_rate)
{
    kernels_of(it)->threshold_all(it, lo, hi, learning_rate);
}

void fo_note_touched(const fo_penalty *it, const void *column, int wide, ptrdiff_t n, int64_t t)
{
    for (ptrdiff_t j = 0; j < n; ++j) {
        int64_t *last = it->last + entry_of(column, wide, j);
        *last = *last < t ? t : *last;   /* a lock-free sampler may be further on */
    }
}
