/* step.c -- one pass of a kernel over all arrays of an optimizer, and the three parts of a step. */
#include <assert.h>
#include <math.h>
#include "fastopt.h"
#include "core/numerics.h"
#include "update/positions.h"

/* What all threads of a pass share. */
typedef struct {
    const fo_work *work;
    const fo_rule *rule;
    const fo_step *step;
    int form;                    /* or FO_INITIALISE, FO_FLUSH */
} update_task;

/* A gradient with strides, or one to be expanded with zeros, a buffer at a time: it is brought into the cache and the
 * entries are updated from there, through a view of the array that starts at them. */
static void update_buffered(const fo_array *array, fo_kernel *kernel, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi)
{
    double buffer[FO_GRADIENT_BUFFER];
    const ptrdiff_t itemsize = (ptrdiff_t)fo_itemsize(array->dtype);
    for (ptrdiff_t start = lo, n; start < hi; start += n) {
        n = hi - start < FO_GRADIENT_BUFFER ? hi - start : FO_GRADIENT_BUFFER;
        fo_array view = *array;
        view.grad = fo_dense_gradient(array, start, start + n, buffer);
        view.param = (char *)array->param + start * itemsize;
        for (int k = 0; k < FO_MAX_SLOTS; ++k)
            if (array->state[k])
                view.state[k] = (char *)array->state[k] + start * itemsize;
        kernel(&view, step, 0, n);
    }
}

/* What [lo, hi) of a kernel counts for this array: entries of the parameter, positions, or entries of last_step. */
static ptrdiff_t units_of(const fo_array *array, int form)
{
    if (form == FO_FLUSH)
        return array->last_step ? array->size / array->row_width : 0;
    if (form != FO_INITIALISE && (array->layout == FO_ROWS || array->layout == FO_ELEMENTS))
        return array->at.n;
    return array->size;
}

/* Units in a block: FO_BLOCK_BYTES of consecutive parameters, or as many separate places, each of which costs
 * a cache line at least. */
static ptrdiff_t units_per_block(const fo_array *array, int form)
{
    const ptrdiff_t itemsize = (ptrdiff_t)fo_itemsize(array->dtype), line = CACHE_LINE;
    ptrdiff_t nbytes = itemsize;
    if (form == FO_FLUSH)
        nbytes = array->row_width * itemsize;
    else if (form != FO_INITIALISE && (array->layout == FO_ROWS || array->layout == FO_ELEMENTS))
        nbytes = array->at.width * itemsize < line ? line : array->at.width * itemsize;
    return nbytes < FO_BLOCK_BYTES ? FO_BLOCK_BYTES / nbytes : 1;
}

ptrdiff_t fo_plan(const fo_work *work, int form)
{
    ptrdiff_t n_blocks = 0;
    for (ptrdiff_t k = 0; k < work->n_arrays; ++k) {
        const ptrdiff_t per_block = units_per_block(&work->arrays[k], form);
        work->first_block[k] = n_blocks;
        n_blocks += (units_of(&work->arrays[k], form) + per_block - 1) / per_block;
    }
    work->first_block[work->n_arrays] = n_blocks;
    return n_blocks * FO_BLOCK_BYTES;
}

#ifndef NDEBUG
/* What callers have seen to: units and the positions among them lie inside the array, those of an expanded gradient
 * ascend. */
static int is_inside(const fo_array *array, int form, ptrdiff_t lo, ptrdiff_t hi)
{
    if (lo < 0 || lo > hi || hi > units_of(array, form))
        return 0;
    if (form == FO_FLUSH || form == FO_INITIALISE || array->layout == FO_DENSE)
        return 1;
    const int all = array->layout == FO_EXPANDED;
    const ptrdiff_t first = all ? 0 : lo, last = all ? array->at.n : hi;
    for (ptrdiff_t k = first; k < last; ++k) {
        const ptrdiff_t at = position(&array->at, k);
        if (at < 0 || (at + 1) * array->at.width > array->size)
            return 0;
        if (all && k > first && at <= position(&array->at, k - 1))
            return 0;
    }
    return 1;
}
#endif

static void run_kernel(const update_task *it, const fo_array *array, ptrdiff_t lo, ptrdiff_t hi)
{
    const fo_rule_kernels *kernels = fo_kernels_of(it->rule, array->dtype);
    assert(is_inside(array, it->form, lo, hi));
    if (it->form == FO_INITIALISE)
        kernels->initialise(array, it->step, lo, hi);
    else if (it->form == FO_FLUSH)
        kernels->flush(array, it->step, lo, hi);
    else if (array->layout == FO_ROWS)
        kernels->rows[it->form](array, it->step, lo, hi);
    else if (array->layout == FO_ELEMENTS) {
        const fo_array sorted = array->at.workspace ? fo_partition(array, lo, hi) : *array;
        kernels->elements[it->form](&sorted, it->step, lo, hi);
    } else if (array->layout == FO_EXPANDED || array->grad_strides.ndim != 0)
        update_buffered(array, kernels->dense[it->form], it->step, lo, hi);
    else
        kernels->dense[it->form](array, it->step, lo, hi);
}

/* Blocks [lo, hi) of the work list: the arrays they fall into, and the units of each. */
static void update_blocks(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const update_task *it = context;
    const fo_work *work = it->work;
    for (ptrdiff_t k = 0; k < work->n_arrays; ++k) {
        const ptrdiff_t first = work->first_block[k], last = work->first_block[k + 1];
        if (last <= lo || first >= hi)
            continue;
        const fo_array *array = &work->arrays[k];
        const ptrdiff_t per_block = units_per_block(array, it->form);
        const ptrdiff_t start = lo > first ? (lo - first) * per_block : 0;
        const ptrdiff_t stop = hi < last ? (hi - first) * per_block : units_of(array, it->form);
        run_kernel(it, array, start, stop);
    }
}

void fo_update(const fo_work *work, const fo_rule *rule, int form, const fo_step *step, int num_threads)
{
    const update_task it = {work, rule, step, form};
    fo_parallel_for(work->first_block[work->n_arrays], num_threads, update_blocks, &it);
}

/* --- the three parts of a step ---------------------------------------------------------------------------------- */

int fo_needs_stats(const fo_optimizer *it) { return it->clip_norm != HUGE_VAL || it->nonfinite != FO_PROPAGATE; }

int fo_check_gradient(fo_optimizer *it, int num_threads)
{
    const int want_norm = it->clip_norm != HUGE_VAL;
    it->step.grad_scale = it->sign;
    if (!fo_needs_stats(it))
        return 1;
    const fo_gradient_stats found = fo_measure_gradients(&it->work, it->step.clip_value, want_norm, it->partial,
                                                         num_threads);
    if (it->nonfinite != FO_PROPAGATE && found.probe != 0)
        return 0;
    if (want_norm) {
        it->norm = fo_gradient_norm(found);
        if (!(it->norm <= it->clip_norm))
            it->step.grad_scale = it->sign * (it->clip_norm / it->norm);
    }
    return 1;
}

void fo_prepare(fo_optimizer *it, double learning_rate)
{
    it->rule->prepare(it->hyper, learning_rate, it->t + 1, it->carried, it->step.coef);
    const double decay = it->rule->own_weight_decay ? 0.0 : it->weight_decay;
    it->step.l2 = it->decoupled ? 0.0 : decay;
    it->step.decay_factor = it->decoupled ? 1.0 - learning_rate * decay : 1.0;
}

void fo_apply(fo_optimizer *it, int num_threads)
{
    const fo_step *step = &it->step;
    const int modified = step->grad_scale != 1.0 || step->l2 != 0.0 || step->decay_factor != 1.0
                      || step->clip_value != HUGE_VAL;
    it->step.t = ++it->t;
    fo_update(&it->work, it->rule, modified ? it->form | FO_MODIFIED : it->form, step, num_threads);
}
