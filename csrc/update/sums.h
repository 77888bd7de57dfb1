/* sums.h -- sums over entries that are the same bits for any number of threads and any instruction set.
 *
 * The entries of each array are cut into chunks whose bounds depend on the sizes of the arrays only. Kernels add the
 * products of a chunk to lanes, in an order that is written down in products_tmpl.h, and these are added up when the
 * chunk is done; the sums of chunks are added in order. The norm of gradients has chunks of its own: gradient_norm.c.
 */
#ifndef FO_SUMS_H
#define FO_SUMS_H

#include <math.h>
#include "fastopt.h"
#include "update/products.h"

/* Sums the entries [lo, hi) of an array, which are one chunk, into step->lanes. */
typedef void fo_sum_chunk(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, const void *context);

/* One pass over the entries of all arrays that have a gradient. */
typedef struct {
    const fo_work *work;
    const fo_group *groups;
    int first, n_sums;           /* which of fo_sums are taken */
    int wants_probe;             /* fo_sums.probe is, too */
    fo_sum_chunk *task;
    const void *context;         /* for the task */
    fo_sums *partial;            /* FO_MAX_CHUNKS + n_arrays entries */
} fo_sum_pass;

/* Writes the sums of each array into what it has of its own, and returns those of all. */
fo_sums fo_sum_arrays(const fo_sum_pass *pass, int num_threads);

/* The lanes of a chunk at its start, and the sums that they are at its end: `n` sums from `first` on. */
void fo_start_lanes(fo_lanes *lanes, int first, int n, int wants_probe);
fo_sums fo_total_lanes(fo_lanes *lanes, int first, int n, int dtype);

static inline fo_sums fo_add_sums(fo_sums a, fo_sums b)
{
    for (int k = 0; k < FO_MAX_SUMS; ++k) {
        a.sum[k].plain += b.sum[k].plain;
        a.sum[k].down += b.sum[k].down;
        a.sum[k].up += b.sum[k].up;
    }
    a.probe += b.probe;
    return a;
}

/* A sum as value * 2^exponent, from the products that a double could hold. */
typedef struct {
    double value;
    int exponent;
} fo_scaled;

static inline fo_scaled fo_scaled_sum(fo_sum sum)
{
    enum { EXPONENT = 1200 };    /* of two factors of 2^600 */
    const double size = fabs(sum.plain);
    if (!(size <= 0x1p1000))     /* or NaN, as of infinities of both signs */
        return (fo_scaled){sum.down, EXPONENT};
    if (size < 0x1p-900 && isfinite(sum.up) && sum.up != 0)
        return (fo_scaled){sum.up, -EXPONENT};
    return (fo_scaled){sum.plain, 0};
}

/* Of a sum of squares. */
static inline double fo_root(fo_sum squares)
{
    const fo_scaled scaled = fo_scaled_sum(squares);
    return ldexp(sqrt(scaled.value), scaled.exponent / 2);
}

/* a / b; NaN where both are zero. */
static inline double fo_ratio(fo_sum a, fo_sum b)
{
    const fo_scaled over = fo_scaled_sum(a), under = fo_scaled_sum(b);
    return ldexp(over.value / under.value, over.exponent - under.exponent);
}

#endif
