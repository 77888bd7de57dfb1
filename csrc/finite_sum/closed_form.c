/* closed_form.c -- steps of a rule that gives its parameters from its state and the penalties so far. */
#include "finite_sum/closed_form.h"
#include "finite_sum/samples.h"

/* FO_CLOSED_FORM: a copy of the worker's optimizer over a part of its array, and in `group` one of its scalars, with
 * the penalties of n_steps steps. What its steps carry is lost with it: the rules of this kind have no CARRY. */
static fo_optimizer penalised_part(const fo_minibatch *it, fo_work part, int64_t n_steps, fo_group *group)
{
    const fo_segment *segment = it->segment;
    const fo_penalty *penalty = segment->penalty;
    fo_optimizer optimizer = it->worker->optimizer;
    *group = it->worker->group;
    optimizer.work = part;
    optimizer.groups = group;
    group->hyper[segment->l1_at] += (double)n_steps * penalty->l1;
    group->hyper[segment->l2_at] += segment->dense_steps ? 0.0 : (double)n_steps * penalty->l2;
    return optimizer;
}

void fo_solve_closed_form(const fo_minibatch *it, fo_array part, int64_t t, double learning_rate, int num_threads)
{
    ptrdiff_t first_block[2];
    const fo_work work = {&part, first_block, 1, 0};
    fo_group group;
    fo_optimizer optimizer = penalised_part(it, work, t, &group);
    if (t == 0)
        return;
    group.learning_rate = learning_rate;
    fo_prepare_scalars(&optimizer, &group, t, group.carried);
    group.step.modified = 0;     /* the gradient is zero, and weight decay has been */
    fo_plan(&work, optimizer.form);
    fo_update(&work, optimizer.rule, optimizer.form, &group, num_threads);
}

/* The parameters of a view without the intercepts, or these alone with their own dense gradient. */
static fo_array weights_of(const fo_minibatch *it, fo_array array)
{
    if (array.layout == FO_DENSE)
        array.size = (ptrdiff_t)weights_size(it->objective);
    else
        array.at.n = it->touched->n;
    return array;
}

static fo_array intercepts_of(const fo_minibatch *it, fo_array array)
{
    const ptrdiff_t n = array.layout == FO_DENSE ? it->objective->n_features : it->touched->n;
    const ptrdiff_t first = (ptrdiff_t)weights_size(it->objective), spacing = it->segment->records.spacing;
    fo_array intercepts = fo_view_from(it->segment->optimizer->rule, &array, first * spacing);
    intercepts.grad = (const char *)array.grad + fo_rows_size(it, n);
    intercepts.size = it->objective->n_outputs;
    return intercepts;
}

/* FO_CLOSED_FORM penalises in the rule itself, so the intercepts need a step of their own. */
void fo_step_closed_form(const fo_minibatch *it)
{
    fo_array weights = weights_of(it, it->worker->array), intercepts = intercepts_of(it, it->worker->array);
    ptrdiff_t first_block[2];
    fo_group group;
    fo_optimizer optimizer = penalised_part(it, (fo_work){&weights, first_block, 1, 0}, it->t + 1, &group);
    fo_prepare(&optimizer);
    fo_run_planned(&optimizer, it->segment->num_threads);
    if (!it->objective->intercept)
        return;
    optimizer = penalised_part(it, (fo_work){&intercepts, first_block, 1, 0}, 0, &group);
    fo_prepare(&optimizer);
    fo_run_planned(&optimizer, 1);
}
