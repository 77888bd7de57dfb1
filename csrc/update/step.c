/* step.c -- the three parts of a step, and the sums of a rule. */
#include <math.h>
#include <string.h>
#include "fastopt.h"
#include "core/atomics.h"
#include "core/numerics.h"
#include "update/blocks.h"
#include "update/catch_up.h"
#include "update/decay.h"
#include "update/lines.h"
#include "update/orthogonal.h"
#include "update/sums.h"

/* --- sums of a rule --------------------------------------------------------------------------------------------- */

/* One chunk of the sums before a step. */
static void measure_chunk(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, const void *context)
{
    const fo_pass *it = context;
    fo_kernel *kernel = fo_kernels_of(it->rule, array->dtype)->measure[it->form | step->modified];
    fo_run_on_views(it, array, step, kernel, lo, hi);
}

/* One chunk of a step that sums. */
static void update_chunk(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, const void *context)
{
    fo_run_kernel(context, array, step, lo, hi);
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
    const fo_pass task = {&it->work, it->rule, it->groups, it->form, 1};
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
            fo_show_real(&it->norm, fo_exact_root(&stats->squares));
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
        double carried[FO_N_CARRIED];
        memcpy(carried, group->carried, sizeof carried);
        set_scalars(it, group, &in, carried);
        for (int n = 0; n < FO_N_CARRIED; ++n)
            fo_show_real(&group->carried[n], carried[n]);
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
    const fo_pass task = {&it->work, it->rule, it->groups, it->form, 0};
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
    fo_show_wide(&it->t, it->t + 1);
    for (ptrdiff_t k = 0; k < it->n_groups; ++k)
        it->groups[k].step.t = it->t;    /* here: between the parts of a step there may be a flush */
    apply(it, num_threads);
    for (ptrdiff_t k = 0; k < it->work.n_arrays; ++k)
        if (it->work.arrays[k].history)
            remember(it, &it->work.arrays[k]);
}
