/* minibatch.c -- what happens to a mini-batch, from top to bottom: margins and losses, the gradient, the step.
 *
 * Dense samples make a step over all parameters. CSR samples make one over the columns that they touch, whose
 * parameters are gathered after their lagged updates; or a dense one, where the method or the penalty needs it. */
#include <string.h>
#include "finite_sum/samples.h"
#include "finite_sum/closed_form.h"
#include "finite_sum/scaled_sgd.h"

static void *intercept_of(const fo_minibatch *it)
{
    const size_t place = weights_size(it->objective) * (size_t)it->segment->records.spacing;
    return it->objective->intercept ? fo_param_of(it) + place * it->itemsize : NULL;
}

static int has_penalty(const fo_penalty *penalty) { return penalty->l2 != 0 || penalty->l1 != 0; }

/* --- margins and losses ----------------------------------------------------------------------------------------- */

static void margins_of_samples(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const fo_minibatch *it = context;
    const fo_objective *objective = it->objective;
    char *z = it->worker->derivative;
    if (!is_sparse(objective)) {
        it->kernels->margins(objective, batch_slice(it->batch, lo, hi), fo_param_of(it), z + fo_rows_size(it, lo));
        return;
    }
    const fo_collected collected = {objective, it->batch, it->touched};
    const fo_gathered gathered = {it->worker->gathered, intercept_of(it)};
    const ptrdiff_t entry = fo_batch_entries(objective, batch_slice(it->batch, 0, lo));
    it->kernels->margins_of_touched(&collected, &gathered, lo, hi, entry, z);
}

static int threads_for(const fo_minibatch *it, ptrdiff_t bytes)
{
    return it->segment->num_threads == 1 ? 1 : fo_useful_threads(bytes, it->segment->num_threads);
}

static ptrdiff_t bytes_of(const fo_minibatch *it)
{
    const fo_objective *objective = it->objective;
    if (is_sparse(objective))
        return it->touched->n_entries * SPARSE_ENTRY_BYTES;
    return it->batch.n * objective->n_features * objective->n_outputs * (ptrdiff_t)it->itemsize;
}

/* Sum of the losses over n_mean; its derivatives take the place of the margins. */
static double batch_loss(const fo_minibatch *it)
{
    const fo_objective *objective = it->objective;
    fo_worker *worker = it->worker;
    fo_parallel_for(it->batch.n, threads_for(it, bytes_of(it)), margins_of_samples, it);
    const ptrdiff_t n = it->batch.n * objective->n_labels;
    it->kernels->labels(objective, it->batch, 0, n, 1.0 / (double)it->n_mean, worker->label, worker->weight);
    return loss_of(objective)(objective, worker->derivative, worker->label, worker->weight, n, worker->derivative);
}

/* --- gradients -------------------------------------------------------------------------------------------------- */

static void gradient_of_columns(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const fo_minibatch *it = context;
    memset((char *)it->worker->gradient + fo_rows_size(it, lo), 0, fo_rows_size(it, hi - lo));
    it->kernels->add_dense(it->objective, it->batch, it->worker->derivative, lo, hi, it->worker->gradient);
}

/* Of the intercepts, which have a row of the gradient after those of n columns. */
static void intercept_gradient(const fo_minibatch *it, ptrdiff_t n)
{
    if (it->objective->intercept)
        it->kernels->sum_derivatives(it->worker->derivative, it->batch.n, it->objective->n_outputs,
                                     (char *)it->worker->gradient + fo_rows_size(it, n));
}

/* A row of the gradient for each touched column; the intercepts' comes last. */
static void touched_gradient(const fo_minibatch *it)
{
    const fo_collected collected = {it->objective, it->batch, it->touched};
    memset(it->worker->gradient, 0, fo_rows_size(it, it->touched->n));
    it->kernels->add_touched(&collected, it->worker->derivative, it->worker->gradient);
    intercept_gradient(it, it->touched->n);
}

/* The rows of the touched columns at their places among zeros. */
static void expand_gradient(const fo_minibatch *it)
{
    const fo_objective *objective = it->objective;
    const size_t row = fo_rows_size(it, 1);
    const ptrdiff_t n = it->touched->n;
    const char *source = it->worker->gradient;
    char *to = it->worker->expanded;
    memset(to, 0, fo_rows_size(it, objective->n_features));
    for (ptrdiff_t j = 0; j < n; ++j) {
        const ptrdiff_t column = load_index(it->touched->columns, has_index64(objective), j);
        memcpy(to + (size_t)column * row, source + (size_t)j * row, row);
    }
    if (objective->intercept)
        memcpy(to + fo_rows_size(it, objective->n_features), source + (size_t)n * row, row);
}

/* Of the samples alone: of CSR samples a row for each touched column, of others for all of them. */
static void gradient_of_samples(const fo_minibatch *it)
{
    const ptrdiff_t n_features = it->objective->n_features;
    if (is_sparse(it->objective)) {
        touched_gradient(it);
        return;
    }
    fo_parallel_for(n_features, threads_for(it, bytes_of(it)), gradient_of_columns, it);
    intercept_gradient(it, n_features);
}

/* Makes the gradient of a step over all parameters of that of the samples, and returns it. */
static void *dense_gradient(const fo_minibatch *it)
{
    const fo_objective *objective = it->objective;
    const fo_penalty *penalty = it->segment->penalty;
    void *gradient = is_sparse(objective) ? it->worker->expanded : it->worker->gradient;
    if (is_sparse(objective))
        expand_gradient(it);
    if (has_penalty(penalty))
        it->kernels->add_penalty(fo_param_of(it), (ptrdiff_t)weights_size(objective), penalty->l2,
                                 penalty->kind == FO_LAGGED_GRADIENT ? penalty->l1 : 0.0, gradient);
    if (objective->linear)
        it->kernels->add_linear(objective->linear, it->worker->array.size, gradient);
    return gradient;
}

/* --- steps ------------------------------------------------------------------------------------------------------ */

/* Binds the worker's gradient to an array: that of n columns, the touched ones and, with one more, the intercepts. */
static void bind_touched(const fo_minibatch *it, fo_array *array, ptrdiff_t n)
{
    const fo_objective *objective = it->objective;
    array->layout = objective->n_outputs == 1 ? FO_ELEMENTS : FO_ROWS;
    array->grad = it->worker->gradient;
    array->at.index = it->touched->positions;
    array->at.index64 = has_index64(objective);
    array->at.n = n;
    array->at.width = objective->n_outputs;
    array->at.workspace = array->layout == FO_ELEMENTS && fo_partition_workspace(array) ? it->worker->workspace : NULL;
}

/* Scalars that are carried from step to step, past the steps of other lock-free workers since this one's last. */
static void carry_past_others(const fo_minibatch *it, fo_optimizer *optimizer)
{
    const ptrdiff_t own = it->number - it->segment->n_workers;
    if (!fo_carries(optimizer))
        return;
    for (ptrdiff_t k = own < 0 ? 0 : own + 1; k < it->number; ++k) {
        optimizer->groups->learning_rate = it->segment->learning_rate[k + 1];
        fo_prepare_scalars(optimizer, optimizer->groups, it->t - it->number + k + 1, optimizer->groups->carried);
    }
}

/* One step of the worker's array with its gradient, of n entries; 0 if that is not finite. */
static int step(const fo_minibatch *it, ptrdiff_t n)
{
    fo_optimizer *optimizer = &it->worker->optimizer;
    const double learning_rate = it->segment->learning_rate[it->number + 1];
    optimizer->t = it->t;
    optimizer->groups->learning_rate = learning_rate;
    if (!fo_check_gradient(optimizer, NULL, threads_for(it, n * (ptrdiff_t)it->itemsize))) {
        it->worker->end = FO_BAD_GRADIENT;
        return 0;
    }
    carry_past_others(it, optimizer);
    optimizer->groups->learning_rate = learning_rate;
    if (it->segment->scales) {
        fo_step_scaled(it);
        return 1;
    }
    if (it->segment->penalty->kind == FO_CLOSED_FORM) {
        fo_step_closed_form(it);
        return 1;
    }
    fo_prepare(optimizer);
    fo_run_planned(optimizer, it->segment->num_threads);
    return 1;
}

/* --- batches ---------------------------------------------------------------------------------------------------- */

void fo_begin_collecting(const fo_minibatch *it)
{
    fo_seen *seen = &it->worker->seen;
    if (seen->base > FO_MOST_COLUMNS) {
        memset(seen->place, 0, (size_t)it->objective->n_features * sizeof *seen->place);
        seen->base = 1;
    }
}

void fo_end_collecting(const fo_minibatch *it)
{
    const fo_objective *objective = it->objective;
    const fo_touched *touched = it->touched;
    it->worker->seen.base += (int32_t)touched->n;
    if (objective->intercept)
        store_index(touched->columns, has_index64(objective), touched->n, objective->n_features);
    if (touched->positions != touched->columns)
        it->kernels->position(touched, has_index64(objective), touched->n + objective->intercept,
                              it->segment->records.spacing);
}

void fo_collect_columns(const fo_minibatch *it)
{
    fo_begin_collecting(it);
    it->kernels->collect(it->objective, it->batch, &it->worker->seen, it->touched);
    fo_end_collecting(it);
}

void fo_catch_up_columns(const fo_minibatch *it, fo_array columns, int form, int num_threads)
{
    ptrdiff_t first_block[2];
    const fo_work work = {&columns, first_block, 1, 0};
    fo_plan(&work, form);
    fo_update(&work, it->worker->optimizer.rule, form, it->worker->optimizer.groups, num_threads);
}

static fo_columns penalised_columns(const fo_minibatch *it)
{
    const fo_columns columns = {it->touched->positions, has_index64(it->objective), it->touched->n};
    return columns;
}

/* Lock-free workers mark columns as left before the step, or those that see a column at the same time would each add
 * the penalty of the steps that it missed. If the step is refused, the column loses these steps. */
static int has_others(const fo_segment *segment) { return segment->n_workers > 1; }

void fo_gather_touched(const fo_minibatch *it)
{
    const fo_segment *segment = it->segment;
    const fo_objective *objective = it->objective;
    const fo_touched *touched = it->touched;
    if (segment->scales) {
        fo_gather_scaled(it);
        return;
    }
    if (!segment->dense_steps && fo_is_lagged(segment->penalty)) {
        fo_lagged_update(segment->penalty, penalised_columns(it), it->t, it->worker->gathered);
        return;
    }
    if (!segment->dense_steps && segment->penalty->kind == FO_LAGGED_GRADIENT) {
        fo_gather_lagging(segment->penalty, penalised_columns(it), it->t, has_others(segment), it->worker->gathered,
                          it->worker->left);
        return;
    }
    if (!segment->dense_steps && segment->penalty->kind == FO_CLOSED_FORM) {
        fo_array columns = it->worker->array;
        memset(it->worker->gradient, 0, fo_rows_size(it, touched->n));
        bind_touched(it, &columns, touched->n);
        fo_solve_closed_form(it, columns, it->t, segment->learning_rate[it->number], 1);
    }
    if (segment->last_step) {
        fo_array columns = it->worker->array;
        bind_touched(it, &columns, touched->n);
        fo_catch_up_columns(it, columns, FO_CATCH_UP, threads_for(it, touched->n * (ptrdiff_t)fo_rows_size(it, 1)));
    }
    it->kernels->gather(objective, touched, fo_param_of(it), it->worker->gathered);
}

/* Of the last gradient of the segment. */
static void note_norm(const fo_minibatch *it, const void *gradient, ptrdiff_t n)
{
    const int is_last = it->number + 1 == it->segment->n_batches;
    it->worker->squared_norm = is_last ? it->kernels->sum_squares(gradient, n) : 0.0;
}

/* Returns whether the step was made. */
static int sparse_step(const fo_minibatch *it)
{
    const fo_penalty *penalty = it->segment->penalty;
    fo_worker *worker = it->worker;
    const ptrdiff_t n = it->touched->n, width = it->objective->n_outputs;
    const ptrdiff_t n_rows = n + (it->objective->intercept ? 1 : 0);
    if (penalty->kind == FO_PROXIMAL && penalty->l2 != 0)
        it->kernels->add_penalty(worker->gathered, n * width, penalty->l2, 0.0, worker->gradient);
    if (penalty->kind == FO_LAGGED_GRADIENT)
        fo_add_lagged_gradient(penalty, n, it->t, worker->gathered, worker->left, worker->gradient);
    bind_touched(it, &worker->array, n_rows);
    if (!step(it, n_rows * width))
        return 0;
    if (penalty->kind == FO_LAGGED_GRADIENT && !has_others(it->segment))
        fo_mark_left(penalty, penalised_columns(it), it->t);
    note_norm(it, worker->gradient, n_rows * width);
    return 1;
}

/* What the gradient of a step over all parameters is of: the mean loss of the batch, the linear part, the penalties. */
static double value_of(const fo_minibatch *it, double loss)
{
    const fo_penalty *penalty = it->segment->penalty;
    const ptrdiff_t n = (ptrdiff_t)weights_size(it->objective);
    const void *linear = it->objective->linear;
    if (linear)
        loss += it->kernels->linear_value(linear, fo_param_of(it), it->worker->array.size);
    if (!has_penalty(penalty))
        return loss;
    return loss + it->kernels->penalty_value(fo_param_of(it), n, penalty->l2, penalty->l1);
}

/* Returns whether the step was made. */
static int dense_step(const fo_minibatch *it)
{
    const fo_penalty *penalty = it->segment->penalty;
    const ptrdiff_t size = it->worker->array.size;
    void *gradient = dense_gradient(it);
    it->worker->array.layout = FO_DENSE;
    it->worker->array.grad = gradient;
    if (!step(it, size))
        return 0;
    if (penalty->l1 != 0 && fo_is_lagged(penalty))
        fo_soft_threshold_all(penalty, 0, (ptrdiff_t)weights_size(it->objective),
                              it->segment->learning_rate[it->number + 1]);
    note_norm(it, gradient, size);
    return 1;
}

double fo_minibatch_gradient(const fo_minibatch *it)
{
    double loss;
    if (is_sparse(it->objective))
        fo_gather_touched(it);
    loss = batch_loss(it);
    if (IS_FINITE(loss))
        gradient_of_samples(it);
    return loss;
}

int fo_minibatch_step(const fo_minibatch *it, double loss)
{
    fo_worker *worker = it->worker;
    if (!IS_FINITE(loss)) {
        worker->end = FO_BAD_LOSS;
        return 0;
    }
    if (worker->optimizer.rule->uses_value)    /* whose steps are dense: it takes sums over all parameters, too */
        worker->optimizer.value = value_of(it, loss);
    if (!(it->segment->dense_steps ? dense_step(it) : sparse_step(it)))
        return 0;
    worker->loss += loss * (double)it->n_mean;
    ++worker->n_done;
    return 1;
}

int fo_run_minibatch(const fo_minibatch *it) { return fo_minibatch_step(it, fo_minibatch_gradient(it)); }
