/* gradient_norm.c -- norm and finiteness of all gradients together, in one read. */
#include <math.h>
#include <string.h>
#include "fastopt.h"
#include "core/atomics.h"
#include "core/variants.h"
#include "update/exact_sums.h"
#include "update/products.h"
#include "update/sums.h"

/* Of n <= FO_GRADIENT_BUFFER contiguous values. */
typedef struct {
    fo_kernel *finiteness, *norm;
} norm_kernels;

#define PREFIX gradient_norm
#define FO_TEMPLATE "update/gradient_norm_tmpl.h"
#include "core/variants.h"
FO_KERNEL_TABLE(const norm_kernels);

/* One read of all gradients; the threads share what it finds. */
typedef struct {
    const fo_optimizer *it;
    int want_norm, wants_probe;
    fo_exact *squares;
    int *not_finite;
} measure_pass;

/* Adds the values [lo, hi) of a gradient, a buffer at a time, so that what is read twice is in the cache, and strided
 * gradients can be gathered. */
static void measure_values(const measure_pass *pass, const fo_array *array, const fo_step *step, ptrdiff_t lo,
                           ptrdiff_t hi)
{
    double buffer[FO_GRADIENT_BUFFER];
    const norm_kernels *kernels = FO_KERNELS(array->dtype);
    fo_array view = *array;
    for (ptrdiff_t n; lo < hi; lo += n) {
        n = hi - lo < FO_GRADIENT_BUFFER ? hi - lo : FO_GRADIENT_BUFFER;
        if (array->layout == FO_DENSE)
            view.grad = fo_dense_gradient(array, lo, lo + n, buffer);
        else                         /* the values of a sparse gradient lie in order */
            view.grad = (const char *)array->grad + lo * (ptrdiff_t)fo_itemsize(array->dtype);
        (pass->want_norm ? kernels->norm : kernels->finiteness)(&view, step, 0, n);
    }
}

/* The values that a gradient has: of a sparse one those of its positions. */
static ptrdiff_t values_of(const fo_array *array)
{
    if (array->layout == FO_ABSENT)
        return 0;
    return array->layout == FO_DENSE ? array->size : array->at.n * array->at.width;
}

static ptrdiff_t chunks_of(const fo_array *array)
{
    return (values_of(array) + FO_STATS_ENTRIES - 1) / FO_STATS_ENTRIES;
}

/* Chunks [lo, hi) of an array. */
static void measure_array(const measure_pass *pass, const fo_array *array, ptrdiff_t lo, ptrdiff_t hi,
                          fo_exact *squares)
{
    const ptrdiff_t n_values = values_of(array);
    fo_lanes lanes;
    fo_step step = pass->it->groups[array->group].step;
    step.lanes = &lanes;
    for (ptrdiff_t chunk = lo; chunk < hi; ++chunk) {
        const ptrdiff_t start = chunk * FO_STATS_ENTRIES, left = n_values - start;
        fo_start_lanes(&lanes, 0, pass->want_norm, pass->wants_probe);
        measure_values(pass, array, &step, start, start + (left < FO_STATS_ENTRIES ? left : FO_STATS_ENTRIES));
        const fo_sums sums = fo_total_lanes(&lanes, 0, pass->want_norm, array->dtype);
        if (pass->want_norm)
            fo_add_exactly(squares, fo_scaled_sum(sums.sum[0]));
        if (sums.probe != 0)
            fo_store(pass->not_finite, 1);
    }
}

/* Chunks [lo, hi), counted over all arrays. */
static void measure_chunks(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const measure_pass *pass = context;
    const fo_work *work = &pass->it->work;
    fo_exact squares = {{0}, FO_NUMBER};
    ptrdiff_t first = 0;
    for (ptrdiff_t k = 0, n; k < work->n_arrays && first < hi; ++k, first += n) {
        n = chunks_of(&work->arrays[k]);
        if (lo < first + n)
            measure_array(pass, &work->arrays[k], lo > first ? lo - first : 0, hi < first + n ? hi - first : n,
                          &squares);
    }
    fo_add_shared(pass->squares, &squares);
}

static int clips_values(const fo_optimizer *it)
{
    int clips = 0;
    for (ptrdiff_t k = 0; k < it->n_groups; ++k)
        clips |= it->groups[k].step.clip_value != HUGE_VAL;
    return clips;
}

void fo_measure_gradients(const fo_optimizer *it, int want_norm, int want_finite, int num_threads,
                          fo_gradient_stats *stats)
{
    /* Squares that are scaled down do not overflow: without value clipping their sum tells, too. */
    const int probes = want_finite && (!want_norm || clips_values(it));
    int not_finite = 0;
    const measure_pass pass = {it, want_norm, probes, &stats->squares, &not_finite};
    ptrdiff_t n_chunks = 0;
    memset(&stats->squares, 0, sizeof stats->squares);
    for (ptrdiff_t k = 0; k < it->work.n_arrays; ++k)
        n_chunks += chunks_of(&it->work.arrays[k]);
    fo_parallel_for(n_chunks, num_threads, measure_chunks, &pass);
    stats->finite = !want_finite || (probes ? !not_finite : stats->squares.overflow == FO_NUMBER);
}
