/* handle.c -- steps that are asked for by compiled code: checks of what it gave, and the three parts of a step. */
#include "interface/handle.h"

#include <math.h>
#include "core/atomics.h"

static const fo_bound_handle *bound(const fo_handle *handle) { return (const fo_bound_handle *)handle; }

/* --- what may be asked for --------------------------------------------------------------------------------------- */

/* Whether memory is part of parameters or state. */
static int reaches_owned(const fo_bound_handle *h, const void *memory, size_t bytes)
{
    const uintptr_t start = (uintptr_t)memory;
    ptrdiff_t low = 0, high = h->n_owned;
    while (low < high) { /* the first range that ends after `start` */
        const ptrdiff_t middle = low + (high - low) / 2;
        if (h->owned[middle].stop <= start)
            low = middle + 1;
        else
            high = middle;
    }
    return bytes > 0 && low < h->n_owned && h->owned[low].start < start + bytes;
}

static int check_memory(const fo_bound_handle *h, const void *memory, ptrdiff_t n, size_t itemsize)
{
    if ((memory == NULL && n > 0) || ((uintptr_t)memory & (itemsize - 1)) != 0)
        return FO_STATUS_BAD_ARGUMENT;
    return reaches_owned(h, memory, (size_t)n * itemsize) ? FO_STATUS_OVERLAP : FO_STATUS_OK;
}

/* Whether parameters are where they were bound, and those with a gradient may be written. */
static int check_params(const fo_bound_handle *h)
{
    for (ptrdiff_t k = 0; k < h->it->work.n_arrays; ++k) {
        const fo_array *array = &h->it->work.arrays[k];
        if (*h->arrays[k].memory != array->param)
            return FO_STATUS_MOVED;
        if (array->layout != FO_ABSENT && !(fo_peek(h->arrays[k].flags) & h->writeable))
            return FO_STATUS_READ_ONLY;
    }
    return FO_STATUS_OK;
}

static int check_positions(const void *indices, int index64, ptrdiff_t n, ptrdiff_t n_rows)
{
    int outside = 0;
    if (index64)
        for (ptrdiff_t k = 0; k < n; ++k)
            outside |= (uint64_t)((const int64_t *)indices)[k] >= (uint64_t)n_rows;
    else
        for (ptrdiff_t k = 0; k < n; ++k)
            outside |= ((const int32_t *)indices)[k] < 0 || ((const int32_t *)indices)[k] >= n_rows;
    return outside ? FO_STATUS_BAD_INDEX : FO_STATUS_OK;
}

/* Whether positions are of rows of an array, and may be read. */
static int check_rows(const fo_bound_handle *h, ptrdiff_t k, const void *indices, int index64, ptrdiff_t n)
{
    if (k < 0 || k >= h->it->work.n_arrays || n < 0)
        return FO_STATUS_BAD_ARGUMENT;
    const fo_array *array = &h->it->work.arrays[k];
    if (n > PTRDIFF_MAX / (ptrdiff_t)sizeof(double) / array->row_width)
        return FO_STATUS_BAD_ARGUMENT;
    const int status = check_memory(h, indices, n, index64 ? sizeof(int64_t) : sizeof(int32_t));
    return status ? status : check_positions(indices, index64, n, array->size / array->row_width);
}

/* --- a step ------------------------------------------------------------------------------------------------------ */

/* Whether only Python can make the next step: it has what such steps need, or knows what they are refused for. */
static int needs_python(const fo_bound_handle *h)
{
    const fo_optimizer *it = h->it;
    return !*h->lazy || *h->scheduled || it->rule->uses_value || (it->partial == NULL && fo_couples(it->rule));
}

static int bind_dense(const fo_bound_handle *h, const void *const *grads)
{
    for (ptrdiff_t k = 0; k < h->it->work.n_arrays; ++k) {
        fo_array *array = &h->it->work.arrays[k];
        const int status = check_memory(h, grads[k], grads[k] ? array->size : 0, fo_itemsize(array->dtype));
        if (status)
            return status;
        array->layout = grads[k] ? FO_DENSE : FO_ABSENT;
        array->grad = grads[k];
        array->grad_strides.ndim = 0;
    }
    return check_params(h);
}

static int bind_rows(const fo_bound_handle *h, ptrdiff_t k, const fo_positions *at, const void *rows)
{
    fo_array *array = &h->it->work.arrays[k];
    const int status = check_memory(h, rows, at->n * at->width, fo_itemsize(array->dtype));
    if (status)
        return status;
    for (ptrdiff_t other = 0; other < h->it->work.n_arrays; ++other) {
        h->it->work.arrays[other].layout = FO_ABSENT;
        h->it->work.arrays[other].grad = NULL;
    }
    array->layout = at->width == 1 ? FO_ELEMENTS : FO_ROWS;
    array->grad = rows;
    array->at = *at;
    return check_params(h);
}

/* Lay the work out for what is bound; between dense steps it stays the same. */
static void plan(const fo_bound_handle *h)
{
    int sparse = 0;
    for (ptrdiff_t k = 0; k < h->it->work.n_arrays; ++k)
        sparse |= h->it->work.arrays[k].layout != FO_DENSE;
    if (sparse || *h->sparse_plan)
        *h->bytes = fo_plan(&h->it->work, h->it->form);
    *h->sparse_plan = sparse;
}

static int make_step(const fo_bound_handle *h)
{
    fo_optimizer *it = h->it;
    plan(h);
    const int num_threads = fo_useful_threads(*h->bytes, fo_peek(&h->num_threads));
    if (!fo_check_gradient(it, NULL, num_threads)) {
        if (it->nonfinite == FO_RAISE)
            return FO_STATUS_NONFINITE;
        fo_show_wide(h->skipped, *h->skipped + 1);
        return FO_STATUS_OK;
    }
    fo_prepare(it);
    fo_apply(it, num_threads);
    fo_show_real(h->last_rate, it->groups[0].learning_rate);
    return FO_STATUS_OK;
}

static int step_dense(fo_handle *handle, const void *const *grads)
{
    const fo_bound_handle *h = bound(handle);
    if (grads == NULL)
        return FO_STATUS_BAD_ARGUMENT;
    if (!fo_try_acquire(h->busy))
        return FO_STATUS_BUSY;
    const int in_python = needs_python(h);
    int status = bind_dense(h, grads);
    if (!status && !in_python)
        status = make_step(h);
    fo_release(h->busy);
    return !status && in_python ? h->python->step_dense(h->owner, grads) : status;
}

static int step_rows(fo_handle *handle, ptrdiff_t k, const void *indices, int index64, ptrdiff_t n, const void *rows,
                     int unique)
{
    const fo_bound_handle *h = bound(handle);
    if (!fo_try_acquire(h->busy))
        return FO_STATUS_BUSY;
    const int in_python = !unique || needs_python(h) || fo_couples(h->it->rule) || h->it->work.arrays[0].reduced;
    int status = check_rows(h, k, indices, index64, n);
    if (!status) {
        const fo_positions at = {indices, index64 != 0, n, h->it->work.arrays[k].row_width, NULL};
        status = bind_rows(h, k, &at, rows);
    }
    if (!status && !in_python)
        status = make_step(h);
    fo_release(h->busy);
    return !status && in_python ? h->python->step_rows(h->owner, k, indices, index64, n, rows, unique) : status;
}

/* --- the rest ---------------------------------------------------------------------------------------------------- */

static int catch_up(fo_handle *handle, ptrdiff_t k, const void *indices, int index64, ptrdiff_t n)
{
    const fo_bound_handle *h = bound(handle);
    if (!fo_try_acquire(h->busy))
        return FO_STATUS_BUSY;
    const int up_to_date = *h->lazy || *h->exact, status = check_rows(h, k, indices, index64, n);
    fo_release(h->busy);
    return status || up_to_date ? status : h->python->catch_up(h->owner, k, indices, index64, n);
}

static double learning_rate(fo_handle *handle)
{
    const fo_bound_handle *h = bound(handle);
    if (!fo_try_acquire(h->busy))
        return NAN;
    const double rate = h->it->groups[0].learning_rate;
    fo_release(h->busy);
    return rate;
}

static int set_learning_rate(fo_handle *handle, double rate)
{
    return bound(handle)->python->set_learning_rate(bound(handle)->owner, rate);
}

static int64_t step_count(const fo_handle *handle) { return fo_peek_wide(&bound(handle)->it->t); }

static double last_norm(const fo_handle *handle) { return fo_peek_real(&bound(handle)->it->norm); }

static int measure(fo_handle *handle, const void *const *grads, double *norm, int *finite)
{
    const fo_bound_handle *h = bound(handle);
    if (grads == NULL || norm == NULL || finite == NULL)
        return FO_STATUS_BAD_ARGUMENT;
    if (!fo_try_acquire(h->busy))
        return FO_STATUS_BUSY;
    const int status = bind_dense(h, grads);
    if (!status) {
        plan(h);
        fo_gradient_stats stats;
        fo_measure_gradients(h->it, 1, 1, fo_useful_threads(*h->bytes, fo_peek(&h->num_threads)), &stats);
        *norm = fo_exact_root(&stats.squares);
        *finite = stats.finite;
    }
    fo_release(h->busy);
    return status;
}

const fo_interface fo_interface_functions = {
    FASTOPT_INTERFACE_VERSION, step_dense, step_rows, catch_up, learning_rate,
    set_learning_rate,         step_count, last_norm, measure,
};
