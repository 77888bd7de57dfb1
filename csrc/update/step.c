/* step.c -- one pass of a kernel over all arrays of an optimizer, and the three parts of a step. */
#include <assert.h>
#include <math.h>
#include <string.h>
#include "fastopt.h"
#include "core/numerics.h"
#include "update/catch_up.h"
#include "update/decay.h"
#include "update/lines.h"
#include "update/orthogonal.h"
#include "update/positions.h"
#include "update/sums.h"

/* What all threads of a pass share. */
typedef struct {
    const fo_work *work;
    const fo_rule *rule;
    const fo_step *step;
    int form;                    /* or FO_INITIALISE, FO_FLUSH, FO_CATCH_UP */
} update_task;

fo_array fo_view_from(const fo_rule *rule, const fo_array *array, ptrdiff_t entry)
{
    const ptrdiff_t offset = entry * (ptrdiff_t)fo_itemsize(array->dtype);
    fo_array view = *array;
    view.layout = FO_DENSE;
    view.grad = NULL;
    view.grad_strides.ndim = 0;
    view.param = (char *)array->param + offset;
    for (int k = 0; rule->slots[k].name; ++k)
        if (array->state[k] && rule->slots[k].per == FO_PER_ENTRY)
            view.state[k] = (char *)array->state[k] + offset;
    return view;
}

/* A gradient with strides, or one to be expanded with zeros, a buffer at a time: it is brought into the cache and the
 * entries are visited from there, through a view of the array that starts at them. */
static void run_buffered(const update_task *it, const fo_array *array, fo_kernel *kernel, ptrdiff_t lo, ptrdiff_t hi)
{
    double buffer[FO_GRADIENT_BUFFER];
    for (ptrdiff_t start = lo, n; start < hi; start += n) {
        n = hi - start < FO_GRADIENT_BUFFER ? hi - start : FO_GRADIENT_BUFFER;
        fo_array view = fo_view_from(it->rule, array, start);
        view.grad = fo_dense_gradient(array, start, start + n, buffer);
        kernel(&view, it->step, 0, n);
    }
}

static int is_sparse(const fo_array *array) { return array->layout == FO_ROWS || array->layout == FO_ELEMENTS; }

/* Whether units are positions: of a sparse gradient, or of rows that are behind. */
static int by_position(const fo_array *array, int form)
{
    return form == FO_CATCH_UP || (form != FO_INITIALISE && form != FO_FLUSH && is_sparse(array));
}

/* What [lo, hi) of a kernel counts for this array: entries of the parameter, rows of it (also entries of last_step), or
 * positions. */
static ptrdiff_t units_of(const fo_work *work, const fo_array *array, int form)
{
    if (form == FO_FLUSH)
        return array->last_step ? array->size / array->row_width : 0;
    if (by_position(array, form))
        return array->at.n;
    return form != FO_INITIALISE && work->by_rows ? array->size / array->row_width : array->size;
}

/* Units in a block: FO_BLOCK_BYTES of consecutive parameters, or as many separate places, each of which costs
 * a cache line at least. */
static ptrdiff_t units_per_block(const fo_work *work, const fo_array *array, int form)
{
    const ptrdiff_t itemsize = (ptrdiff_t)fo_itemsize(array->dtype), line = CACHE_LINE;
    ptrdiff_t nbytes = itemsize;
    if (by_position(array, form))
        nbytes = array->at.width * itemsize < line ? line : array->at.width * itemsize;
    else if (form == FO_FLUSH || (form != FO_INITIALISE && work->by_rows))
        nbytes = array->row_width * itemsize;
    return nbytes < FO_BLOCK_BYTES ? FO_BLOCK_BYTES / nbytes : 1;
}

ptrdiff_t fo_plan(const fo_work *work, int form)
{
    ptrdiff_t n_blocks = 0;
    for (ptrdiff_t k = 0; k < work->n_arrays; ++k) {
        const ptrdiff_t per_block = units_per_block(work, &work->arrays[k], form);
        work->first_block[k] = n_blocks;
        n_blocks += (units_of(work, &work->arrays[k], form) + per_block - 1) / per_block;
    }
    work->first_block[work->n_arrays] = n_blocks;
    return n_blocks * FO_BLOCK_BYTES;
}

#ifndef NDEBUG
/* What callers have seen to: units and the positions among them lie inside the array, those of an expanded gradient
 * ascend. */
static int is_inside(const update_task *it, const fo_array *array, ptrdiff_t lo, ptrdiff_t hi)
{
    const int form = it->form;
    if (lo < 0 || lo > hi || hi > units_of(it->work, array, form))
        return 0;
    if (!by_position(array, form) && (form < 0 || array->layout != FO_EXPANDED))
        return 1;
    const int all = form >= 0 && array->layout == FO_EXPANDED;
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

static void run_step(const update_task *it, const fo_array *array, ptrdiff_t lo, ptrdiff_t hi)
{
    const fo_rule_kernels *kernels = fo_kernels_of(it->rule, array->dtype);
    if (array->layout == FO_ROWS)
        kernels->rows[it->form](array, it->step, lo, hi);
    else if (array->layout == FO_ELEMENTS) {
        const fo_array sorted = array->at.workspace ? fo_partition(array, lo, hi) : *array;
        kernels->elements[it->form](&sorted, it->step, lo, hi);
    } else if (!it->work->by_rows && (array->layout == FO_EXPANDED || array->grad_strides.ndim != 0))
        run_buffered(it, array, kernels->dense[it->form], lo, hi);
    else
        kernels->dense[it->form](array, it->step, lo, hi);
}

static void run_kernel(const update_task *it, const fo_array *array, ptrdiff_t lo, ptrdiff_t hi)
{
    const fo_rule_kernels *kernels = fo_kernels_of(it->rule, array->dtype);
    const int options = array->history ? array->history->form >> 1 : 0;   /* else any will do */
    assert(is_inside(it, array, lo, hi));
    if (it->form == FO_INITIALISE)
        kernels->initialise(array, it->step, lo, hi);
    else if (it->form == FO_FLUSH)
        kernels->flush[options](array, it->step, lo, hi);
    else if (it->form == FO_CATCH_UP)
        kernels->catch_up[options](array, it->step, lo, hi);
    else if (it->rule->adjust) {
        update_task own = *it;       /* with the scalars of this array */
        fo_step step = *it->step;
        memcpy(step.coef, array->own->coef, sizeof step.coef);
        own.step = &step;
        run_step(&own, array, lo, hi);
    } else
        run_step(it, array, lo, hi);
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
        const ptrdiff_t per_block = units_per_block(work, array, it->form);
        const ptrdiff_t start = lo > first ? (lo - first) * per_block : 0;
        const ptrdiff_t stop = hi < last ? (hi - first) * per_block : units_of(work, array, it->form);
        run_kernel(it, array, start, stop);
    }
}

void fo_update(const fo_work *work, const fo_rule *rule, int form, const fo_step *step, int num_threads)
{
    const update_task it = {work, rule, step, form};
    fo_parallel_for(work->first_block[work->n_arrays], num_threads, update_blocks, &it);
}

/* --- sums of a rule --------------------------------------------------------------------------------------------- */

/* One chunk of the sums before a step. */
static void measure_chunk(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, const void *context)
{
    update_task it = *(const update_task *)context;
    it.step = step;
    run_buffered(&it, array, fo_kernels_of(it.rule, array->dtype)->measure[it.form], lo, hi);
}

/* One chunk of a step that sums. */
static void update_chunk(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, const void *context)
{
    update_task it = *(const update_task *)context;
    it.step = step;
    run_kernel(&it, array, lo, hi);
}

/* Where an array keeps its n-th sum of the last step. */
static fo_sum *kept_sum(const fo_rule *rule, const fo_array *array, int n)
{
    int k = 0;
    while (rule->slots[k].per != FO_SUM_PER_ARRAY)
        ++k;
    return array->state[k + n];
}

/* A sum without what overflowed of factors scaled up, and is not wanted then: state is finite as long as it can be. */
static fo_sum without_overflow(fo_sum sum)
{
    if (isfinite(sum.plain) && !isfinite(sum.up))
        sum.up = 0.0;
    return sum;
}

static void keep_sums(const fo_optimizer *it)
{
    for (ptrdiff_t k = 0; k < it->work.n_arrays; ++k) {
        const fo_array *array = &it->work.arrays[k];
        for (int n = 0; n < it->rule->sums_during; ++n)
            *kept_sum(it->rule, array, n) = without_overflow(array->own->sums.sum[it->rule->sums_before + n]);
    }
}

/* The sums that a step is prepared with: those before it, which have been measured, and those during the last one. */
static void gather_sums(fo_optimizer *it)
{
    const fo_rule *rule = it->rule;
    it->total = (fo_sums){0};
    for (ptrdiff_t k = 0; k < it->work.n_arrays; ++k) {
        fo_array *array = &it->work.arrays[k];
        for (int n = 0; n < rule->sums_during; ++n)
            array->own->sums.sum[rule->sums_before + n] = *kept_sum(rule, array, n);
        it->total = fo_add_sums(it->total, array->own->sums);
    }
}

/* --- the three parts of a step ---------------------------------------------------------------------------------- */

static int is_modified(const fo_step *step)
{
    return step->grad_scale != 1.0 || step->l2 != 0.0 || step->decay.factor != 1.0 || step->clip_value != HUGE_VAL;
}

static int form_of(const fo_optimizer *it) { return is_modified(&it->step) ? it->form | FO_MODIFIED : it->form; }

void fo_start_carried(const fo_rule *rule, double *carried)
{
    memset(carried, 0, FO_N_CARRIED * sizeof *carried);
    rule->start(carried);
}

int fo_carries(const fo_optimizer *it) { return it->rule->carry[0] || it->rule->has_decay || it->weight_decay != 0; }

/* The scalars of the rule, and weight decay of either kind. */
static void set_scalars(fo_optimizer *it, const fo_inputs *in, double *carried)
{
    const double own = it->rule->prepare(in, carried, it->step.coef);
    const double decay = it->rule->own_weight_decay ? 0.0 : it->weight_decay;
    const double factor = it->decoupled ? 1.0 - in->learning_rate * decay : 1.0;
    it->step.l2 = it->decoupled ? 0.0 : decay;
    it->step.decay = fo_decay_of(factor, in->t, &carried[FO_OWED_DECAY]);
    it->step.own_decay = fo_decay_of(own, in->t, &carried[FO_OWED_OWN_DECAY]);
}

int fo_couples(const fo_rule *rule) { return rule->sums_before > 0 || rule->sums_during > 0 || rule->orthogonalises; }

int fo_needs_sums(const fo_optimizer *it)
{
    const int stats = it->clip_norm != HUGE_VAL || it->nonfinite != FO_PROPAGATE;
    return stats || fo_couples(it->rule);
}

void fo_prepare_scalars(fo_optimizer *it, double learning_rate, int64_t t, double *carried)
{
    const fo_inputs in = {it->hyper, learning_rate, t, it->sign * it->value, NULL};
    set_scalars(it, &in, carried);
}

/* The sums of the rule before the step; returns whether all gradients are finite, if that is wanted. Nothing but
 * scalars is written. */
static int measure_before(fo_optimizer *it, double learning_rate, int want_finite, int num_threads)
{
    double carried[FO_N_CARRIED];
    memcpy(carried, it->carried, sizeof carried);
    fo_prepare_scalars(it, learning_rate, it->t + 1, carried);
    if (it->rule->by_lines)
        return fo_measure_lines(it, form_of(it), want_finite, num_threads).probe == 0;
    const update_task task = {&it->work, it->rule, &it->step, form_of(it)};
    const fo_sum_pass pass = {&it->work,   &it->step,     0,     0,          it->rule->sums_before,
                              want_finite, measure_chunk, &task, it->partial};
    return fo_sum_arrays(&pass, num_threads).probe == 0;
}

int fo_check_gradient(fo_optimizer *it, double learning_rate, int num_threads)
{
    const int want_norm = it->clip_norm != HUGE_VAL, before = it->rule->sums_before > 0;
    const int want_finite = it->nonfinite != FO_PROPAGATE;
    it->step.grad_scale = it->sign;
    if (want_finite && it->rule->uses_value && !IS_FINITE(it->value))
        return 0;
    if (want_norm || (want_finite && !before)) {   /* else the pass of the rule's own sums tells */
        const fo_gradient_stats found = fo_measure_gradients(it, want_norm, num_threads);
        if (want_finite && !found.finite)
            return 0;
        if (want_norm) {
            it->norm = found.norm;
            if (!(it->norm <= it->clip_norm))
                it->step.grad_scale = it->sign * (it->clip_norm / it->norm);
        }
    }
    return !before || measure_before(it, learning_rate, want_finite && !want_norm, num_threads);
}

void fo_prepare(fo_optimizer *it, double learning_rate)
{
    const fo_rule *rule = it->rule;
    const fo_inputs in = {it->hyper, learning_rate, it->t + 1, it->sign * it->value, &it->total};
    if (rule->sums_before > 0 || rule->sums_during > 0)
        gather_sums(it);
    set_scalars(it, &in, it->carried);
    for (ptrdiff_t k = 0; rule->adjust && k < it->work.n_arrays; ++k) {
        double *coef = it->work.arrays[k].own->coef;
        memcpy(coef, it->step.coef, sizeof it->step.coef);
        rule->adjust(&in, &it->work.arrays[k], coef);
    }
}

static void apply(fo_optimizer *it, int num_threads)
{
    if (it->rule->by_lines) {
        fo_step_lines(it, form_of(it), num_threads);
        return;
    }
    if (it->rule->orthogonalises) {
        fo_step_orthogonal(it, form_of(it), num_threads);
        return;
    }
    if (it->rule->sums_during == 0) {
        fo_update(&it->work, it->rule, form_of(it), &it->step, num_threads);
        return;
    }
    const update_task task = {&it->work, it->rule, &it->step, form_of(it)};
    const fo_sum_pass pass = {&it->work,    &it->step, 0,          it->rule->sums_before, it->rule->sums_during, 0,
                              update_chunk, &task,     it->partial};
    fo_sum_arrays(&pass, num_threads);
    keep_sums(it);
}

/* Rows that the step has not touched are to make up for it later, if there are any. */
static void remember(fo_optimizer *it)
{
    int behind = 0;
    for (ptrdiff_t k = 0; k < it->work.n_arrays; ++k)
        behind = behind || it->work.arrays[k].last_step;
    if (behind)
        fo_remember_step(it->history, &it->step, it->hyper);
    else
        fo_forget_steps(it->history);
}

void fo_apply(fo_optimizer *it, int num_threads)
{
    it->step.t = ++it->t;
    apply(it, num_threads);
    if (it->history)
        remember(it);
}
