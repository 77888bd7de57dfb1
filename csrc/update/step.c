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
#include "update/storage.h"
#include "update/sums.h"

/* What all threads of a pass share. */
typedef struct {
    const fo_work *work;
    const fo_rule *rule;
    const fo_group *groups;
    int form;                    /* the options, to which a group's step adds FO_MODIFIED; or FO_INITIALISE ... */
    int only_reads;              /* state stays as it is */
} update_task;

/* Entries [lo, hi) through views: a gradient with strides, or one to be expanded with zeros, is brought into the cache,
 * and reduced slots are decoded unless the kernel does so itself. With by_rows it counts rows. */
static void run_on_views(const update_task *it, const fo_array *array, const fo_step *step, fo_kernel *kernel,
                         ptrdiff_t lo, ptrdiff_t hi)
{
    double buffer[FO_GRADIENT_BUFFER];
    fo_scratch scratch;
    const ptrdiff_t unit = it->work->by_rows ? array->row_width : 1;
    const int decodes = array->reduced && (it->only_reads || it->work->by_rows);
    const ptrdiff_t most = (decodes ? FO_VIEW_ENTRIES : FO_GRADIENT_BUFFER) / unit * unit;
    for (ptrdiff_t start = lo, n; start < hi; start += n) {
        n = hi - start < most ? hi - start : most;
        fo_array view = decodes ? fo_load_view(it->rule, array, start, n, &scratch)
                                : fo_view_from(it->rule, array, start);
        view.grad = fo_dense_gradient(array, start, start + n, buffer);
        kernel(&view, step, 0, n / unit);
        if (decodes && !it->only_reads)
            fo_store_view(array, &view, n, step->t);
    }
}

/* The same with copies of the entries that a sparse gradient touches at its positions [lo, hi). */
static void run_on_copies(const update_task *it, const fo_array *array, const fo_step *step, fo_kernel *kernel,
                          ptrdiff_t lo, ptrdiff_t hi)
{
    fo_gathered_entries room;
    const ptrdiff_t unit = it->work->by_rows ? array->row_width : 1, stop = fo_first_touched(array, hi);
    for (ptrdiff_t start = fo_first_touched(array, lo), n; start < stop; start += n) {
        const fo_array view = fo_gather_entries(it->rule, array, start, stop, &room, &n);
        kernel(&view, step, 0, n / unit);
        fo_scatter_entries(it->rule, array, &view, n, step->t, &room);
    }
}

/* Fills slots from the parameters: those that kernels can reach, then each of the others in views without the rest. */
static void initialise(const fo_rule *rule, const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi)
{
    fo_kernel *kernel = fo_kernels_of(rule, array->dtype)->initialise;
    fo_array rest = *array;
    kernel(array, step, lo, hi);
    if (!array->reduced)
        return;
    memset(rest.state, 0, sizeof rest.state);
    for (ptrdiff_t start = lo, n; start < hi; start += n) {
        fo_scratch scratch;
        n = hi - start < FO_VIEW_ENTRIES ? hi - start : FO_VIEW_ENTRIES;
        const fo_array view = fo_load_view(rule, &rest, start, n, &scratch);
        kernel(&view, step, 0, n);
        fo_store_view(array, &view, n, 0);
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
    if (form == FO_INITIALISE)
        return array->size;
    if (by_position(array, form))
        return array->at.n;
    if (array->layout == FO_ABSENT)
        return 0;
    return work->by_rows ? array->size / array->row_width : array->size;
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

static void run_step(const update_task *it, const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi)
{
    const fo_rule_kernels *kernels = fo_kernels_of(it->rule, array->dtype);
    const int form = it->form | step->modified;
    if (array->reduced && is_sparse(array))
        run_on_copies(it, array, step, kernels->dense[form], lo, hi);
    else if (array->reduced && it->work->by_rows)
        run_on_views(it, array, step, kernels->dense[form], lo * array->row_width, hi * array->row_width);
    else if (array->layout == FO_ROWS)
        kernels->rows[form](array, step, lo, hi);
    else if (array->layout == FO_ELEMENTS) {
        const fo_array sorted = array->at.workspace ? fo_partition(array, lo, hi) : *array;
        kernels->elements[form](&sorted, step, lo, hi);
    } else if (!it->work->by_rows && (array->layout == FO_EXPANDED || array->grad_strides.ndim != 0))
        run_on_views(it, array, step, kernels->dense[form], lo, hi);
    else
        kernels->dense[form](array, step, lo, hi);
}

static void run_kernel(const update_task *it, const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi)
{
    const fo_rule_kernels *kernels = fo_kernels_of(it->rule, array->dtype);
    const int options = array->history ? array->history->form >> 1 : 0;   /* else any will do */
    assert(is_inside(it, array, lo, hi));
    if (it->form == FO_INITIALISE)
        initialise(it->rule, array, step, lo, hi);
    else if (it->form == FO_FLUSH)
        kernels->flush[options](array, step, lo, hi);
    else if (it->form == FO_CATCH_UP)
        kernels->catch_up[options](array, step, lo, hi);
    else if (it->rule->adjust) {
        fo_step own = *step;         /* with the scalars of this array */
        memcpy(own.coef, array->own->coef, sizeof own.coef);
        run_step(it, array, &own, lo, hi);
    } else
        run_step(it, array, step, lo, hi);
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
        run_kernel(it, array, &it->groups[array->group].step, start, stop);
    }
}

void fo_update(const fo_work *work, const fo_rule *rule, int form, const fo_group *groups, int num_threads)
{
    const update_task it = {work, rule, groups, form, 0};
    fo_parallel_for(work->first_block[work->n_arrays], num_threads, update_blocks, &it);
}

/* --- sums of a rule --------------------------------------------------------------------------------------------- */

/* One chunk of the sums before a step. */
static void measure_chunk(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, const void *context)
{
    const update_task *it = context;
    fo_kernel *kernel = fo_kernels_of(it->rule, array->dtype)->measure[it->form | step->modified];
    run_on_views(it, array, step, kernel, lo, hi);
}

/* One chunk of a step that sums. */
static void update_chunk(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, const void *context)
{
    run_kernel(context, array, step, lo, hi);
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

/* Those of an array without a gradient stay as they are, as what they are of does; but sums of gradients are none. */
static void keep_sums(const fo_optimizer *it)
{
    const fo_rule *rule = it->rule;
    for (ptrdiff_t k = 0; k < it->work.n_arrays; ++k) {
        const fo_array *array = &it->work.arrays[k];
        for (int n = 0; n < rule->sums_during; ++n)
            if (array->layout != FO_ABSENT || rule->sums_of_gradients >> (rule->sums_before + n) & 1)
                *kept_sum(rule, array, n) = without_overflow(array->own->sums.sum[rule->sums_before + n]);
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

void fo_start_carried(const fo_rule *rule, double *carried)
{
    memset(carried, 0, FO_N_CARRIED * sizeof *carried);
    rule->start(carried);
}

int fo_carries(const fo_optimizer *it)
{
    int carries = it->rule->carry[0] || it->rule->has_decay;
    for (ptrdiff_t k = 0; k < it->n_groups; ++k)
        carries |= it->groups[k].weight_decay != 0;
    return carries;
}

/* The scalars of the rule, and weight decay of either kind. */
static void set_scalars(const fo_optimizer *it, fo_group *group, const fo_inputs *in, double *carried)
{
    fo_step *step = &group->step;
    const double own = it->rule->prepare(in, carried, step->coef);
    const double decay = it->rule->own_weight_decay ? 0.0 : group->weight_decay;
    const double factor = it->decoupled ? 1.0 - in->learning_rate * decay : 1.0;
    step->l2 = it->decoupled ? 0.0 : decay;
    step->decay = fo_decay_of(factor, in->t, &carried[FO_OWED_DECAY]);
    step->own_decay = fo_decay_of(own, in->t, &carried[FO_OWED_OWN_DECAY]);
    step->modified = is_modified(step) ? FO_MODIFIED : 0;
}

static void set_grad_scale(fo_optimizer *it, double scale)
{
    for (ptrdiff_t k = 0; k < it->n_groups; ++k)
        it->groups[k].step.grad_scale = scale;
}

int fo_couples(const fo_rule *rule) { return rule->sums_before > 0 || rule->sums_during > 0 || rule->orthogonalises; }

int fo_needs_sums(const fo_optimizer *it) { return fo_couples(it->rule); }

static fo_inputs inputs_of(const fo_optimizer *it, const fo_group *group, int64_t t, const fo_sums *sums)
{
    return (fo_inputs){group->hyper, group->learning_rate, t, it->sign * it->value, sums};
}

void fo_prepare_scalars(const fo_optimizer *it, fo_group *group, int64_t t, double *carried)
{
    const fo_inputs in = inputs_of(it, group, t, NULL);
    set_scalars(it, group, &in, carried);
}

/* The sums of the rule before the step; returns whether all gradients are finite, if that is wanted. Nothing but
 * scalars is written. */
static int measure_before(fo_optimizer *it, int want_finite, int num_threads)
{
    for (ptrdiff_t k = 0; k < it->n_groups; ++k) {
        double carried[FO_N_CARRIED];
        memcpy(carried, it->groups[k].carried, sizeof carried);
        fo_prepare_scalars(it, &it->groups[k], it->t + 1, carried);
    }
    if (it->rule->by_lines)
        return fo_measure_lines(it, want_finite, num_threads).probe == 0;
    const update_task task = {&it->work, it->rule, it->groups, it->form, 1};
    const fo_sum_pass pass = {&it->work,   it->groups,    0,     it->rule->sums_before,
                              want_finite, measure_chunk, &task, it->partial};
    return fo_sum_arrays(&pass, num_threads).probe == 0;
}

int fo_check_gradient(fo_optimizer *it, const fo_gradient_stats *known, int num_threads)
{
    const int want_norm = it->clip_norm != HUGE_VAL, before = it->rule->sums_before > 0;
    const int want_finite = it->nonfinite != FO_PROPAGATE;
    set_grad_scale(it, it->sign);
    if (want_finite && it->rule->uses_value && !IS_FINITE(it->value))
        return 0;
    if (known || want_norm || (want_finite && !before)) {   /* else the pass of the rule's own sums tells */
        fo_gradient_stats found;
        if (!known)
            fo_measure_gradients(it, want_norm, want_finite, num_threads, &found);
        const fo_gradient_stats *stats = known ? known : &found;
        if (want_finite && !stats->finite)
            return 0;
        if (want_norm) {
            it->norm = fo_exact_root(&stats->squares);
            if (!(it->norm <= it->clip_norm))
                set_grad_scale(it, it->sign * (it->clip_norm / it->norm));
        }
    }
    return !before || measure_before(it, want_finite && !want_norm && !known, num_threads);
}

/* The scalars of one array, from those of its group. An array without a gradient keeps the numbers that it has. */
static void adjust_array(const fo_optimizer *it, const fo_array *array)
{
    const fo_group *group = &it->groups[array->group];
    const fo_inputs in = inputs_of(it, group, it->t + 1, &it->total);
    if (array->layout == FO_ABSENT)
        return;
    memcpy(array->own->coef, group->step.coef, sizeof group->step.coef);
    it->rule->adjust(&in, array, array->own->coef);
}

void fo_prepare(fo_optimizer *it)
{
    const fo_rule *rule = it->rule;
    if (rule->sums_before > 0 || rule->sums_during > 0)
        gather_sums(it);
    for (ptrdiff_t k = 0; k < it->n_groups; ++k) {
        fo_group *group = &it->groups[k];
        const fo_inputs in = inputs_of(it, group, it->t + 1, &it->total);
        set_scalars(it, group, &in, group->carried);
    }
    for (ptrdiff_t k = 0; rule->adjust && k < it->work.n_arrays; ++k)
        adjust_array(it, &it->work.arrays[k]);
}

static void apply(fo_optimizer *it, int num_threads)
{
    if (it->rule->by_lines) {
        fo_step_lines(it, num_threads);
        return;
    }
    if (it->rule->orthogonalises) {
        fo_step_orthogonal(it, num_threads);
        return;
    }
    if (it->rule->sums_during == 0) {
        fo_update(&it->work, it->rule, it->form, it->groups, num_threads);
        return;
    }
    const update_task task = {&it->work, it->rule, it->groups, it->form, 0};
    const fo_sum_pass pass = {&it->work, it->groups, it->rule->sums_before, it->rule->sums_during, 0, update_chunk,
                              &task,     it->partial};
    fo_sum_arrays(&pass, num_threads);
    keep_sums(it);
}

/* Rows that the step has not touched are to make up for it later. Without a gradient the array takes no part in it. */
static void remember(const fo_optimizer *it, const fo_array *array)
{
    const fo_group *group = &it->groups[array->group];
    if (array->last_step && array->layout != FO_ABSENT)
        fo_remember_step(array->history, &group->step, group->hyper);
}

void fo_apply(fo_optimizer *it, int num_threads)
{
    ++it->t;
    for (ptrdiff_t k = 0; k < it->n_groups; ++k)
        it->groups[k].step.t = it->t;    /* here: between the parts of a step there may be a flush */
    apply(it, num_threads);
    for (ptrdiff_t k = 0; k < it->work.n_arrays; ++k)
        if (it->work.arrays[k].history)
            remember(it, &it->work.arrays[k]);
}
