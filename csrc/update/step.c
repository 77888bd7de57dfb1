/* step.c -- one pass of a kernel over all arrays of an optimizer. */
#include <assert.h>
#include <math.h>
#include "fastopt.h"
#include "update/positions.h"

typedef struct {
    const fo_work *work;
    const fo_rule *rule;
    const fo_step *step;
    int form;
} pass;

/* A gradient with strides, or a spread one: pieces are brought into the cache and updated from there, through a
 * view of the array that starts at the piece. */
static void update_piecewise(const fo_array *array, fo_kernel *kernel, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi)
{
    double buffer[FO_PIECE];
    const ptrdiff_t itemsize = (ptrdiff_t)fo_itemsize(array->dtype);
    for (ptrdiff_t start = lo, n; start < hi; start += n) {
        n = hi - start < FO_PIECE ? hi - start : FO_PIECE;
        fo_array piece = *array;
        piece.grad = fo_grad_piece(array, start, start + n, buffer);
        piece.param = (char *)array->param + start * itemsize;
        for (int k = 0; k < FO_MAX_SLOTS; ++k)
            if (array->state[k])
                piece.state[k] = (char *)array->state[k] + start * itemsize;
        kernel(&piece, step, 0, n);
    }
}

/* What [lo, hi) of a kernel counts for this array: entries of the parameter, positions, or entries of last_step. */
static ptrdiff_t units_of(const fo_array *array, int form)
{
    if (form == FO_REST)
        return array->last_step ? array->size / array->resting_width : 0;
    if (form != FO_INITIALISE && (array->cover == FO_ROWS || array->cover == FO_ELEMENTS))
        return array->at.n;
    return array->size;
}

/* Units in a block: FO_BLOCK_BYTES of consecutive parameters, or as many separate places, each of which costs
 * a cache line at least. */
static ptrdiff_t units_per_block(const fo_array *array, int form)
{
    const ptrdiff_t itemsize = (ptrdiff_t)fo_itemsize(array->dtype), line = 64;
    ptrdiff_t nbytes = itemsize;
    if (form == FO_REST)
        nbytes = array->resting_width * itemsize;
    else if (form != FO_INITIALISE && (array->cover == FO_ROWS || array->cover == FO_ELEMENTS))
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
/* What callers have seen to: units and the positions among them lie inside the array, those of a spread gradient
 * ascend. */
static int is_inside(const fo_array *array, int form, ptrdiff_t lo, ptrdiff_t hi)
{
    if (lo < 0 || lo > hi || hi > units_of(array, form))
        return 0;
    if (form == FO_REST || form == FO_INITIALISE || array->cover == FO_DENSE)
        return 1;
    const ptrdiff_t first = array->cover == FO_SPREAD ? 0 : lo, last = array->cover == FO_SPREAD ? array->at.n : hi;
    for (ptrdiff_t k = first; k < last; ++k) {
        const ptrdiff_t at = position(&array->at, k);
        if (at < 0 || (at + 1) * array->at.width > array->size)
            return 0;
        if (array->cover == FO_SPREAD && k > first && at <= position(&array->at, k - 1))
            return 0;
    }
    return 1;
}
#endif

static void run_kernel(const pass *it, const fo_array *array, ptrdiff_t lo, ptrdiff_t hi)
{
    const fo_variant *variant = fo_variant_of(it->rule, array->dtype);
    assert(is_inside(array, it->form, lo, hi));
    if (it->form == FO_INITIALISE)
        variant->initialise(array, it->step, lo, hi);
    else if (it->form == FO_REST)
        variant->rest(array, it->step, lo, hi);
    else if (array->cover == FO_ROWS)
        variant->rows[it->form](array, it->step, lo, hi);
    else if (array->cover == FO_ELEMENTS) {
        const fo_array arranged = array->at.room ? fo_arrange(array, lo, hi) : *array;
        variant->elements[it->form](&arranged, it->step, lo, hi);
    } else if (array->cover == FO_SPREAD || array->grad_layout.ndim != 0)
        update_piecewise(array, variant->dense[it->form], it->step, lo, hi);
    else
        variant->dense[it->form](array, it->step, lo, hi);
}

/* Blocks [lo, hi) of the work list: the arrays they fall into, and the units of each. */
static void update_blocks(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const pass *it = context;
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
    const pass it = {work, rule, step, form};
    fo_parallel_for(work->first_block[work->n_arrays], num_threads, update_blocks, &it);
}

int fo_wants_scan(const fo_optimizer *it) { return it->clip_norm != HUGE_VAL || it->nonfinite != FO_PROPAGATE; }

int fo_admit(fo_optimizer *it, int num_threads)
{
    const int want_norm = it->clip_norm != HUGE_VAL;
    it->step.grad_scale = it->sign;
    if (!fo_wants_scan(it))
        return 1;
    const fo_scan found = fo_scan_gradients(&it->work, it->step.clip_value, want_norm, it->partial, num_threads);
    if (it->nonfinite != FO_PROPAGATE && found.probe != 0)
        return 0;
    if (want_norm) {
        it->norm = fo_scan_norm(found);
        if (!(it->norm <= it->clip_norm))
            it->step.grad_scale = it->sign * (it->clip_norm / it->norm);
    }
    return 1;
}

void fo_prepare(fo_optimizer *it, double learning_rate)
{
    it->rule->prepare(it->hyper, learning_rate, it->t + 1, it->carried, it->step.coef);
    it->step.l2 = it->decoupled ? 0.0 : it->weight_decay;
    it->step.keep = it->decoupled ? 1.0 - learning_rate * it->weight_decay : 1.0;
}

void fo_apply(fo_optimizer *it, int num_threads)
{
    const fo_step *step = &it->step;
    const int modified = step->grad_scale != 1.0 || step->l2 != 0.0 || step->keep != 1.0
                      || step->clip_value != HUGE_VAL;
    it->step.t = ++it->t;
    fo_update(&it->work, it->rule, modified ? it->form | FO_MODIFIED : it->form, step, num_threads);
}
