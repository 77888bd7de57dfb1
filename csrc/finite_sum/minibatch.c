/* batch.c -- what batch.h says, in the order in which it happens to a batch. */
#include <string.h>
#include "finite_sum/samples.h"
#include "finite_sum/minibatch.h"

static char *param_of(const fo_passage *it) { return it->worker->array.param; }

static void *intercept_of(const fo_passage *it)
{
    return it->objective->intercept ? param_of(it) + weights_size(it->objective) * it->itemsize : NULL;
}

/* --- margins and losses ----------------------------------------------------------------------------------------- */

static void margins_of_samples(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const fo_passage *it = context;
    const fo_objective *objective = it->objective;
    char *z = it->worker->derivative;
    ptrdiff_t entry = 0;
    if (!objective->sparse) {
        it->kernels->margins(objective, part_of(it->batch, lo, hi), param_of(it),
                             z + (size_t)(lo * objective->n_outputs) * it->itemsize);
        return;
    }
    for (ptrdiff_t i = 0; i < lo; ++i)
        entry += sparse_row(objective, sample_of(it->batch, i), objective->wide, 0).n;
    it->kernels->margins_of_touched(objective, it->batch, it->touched, lo, hi, entry, it->worker->gathered,
                                    intercept_of(it), z);
}

static int threads_for(const fo_passage *it, ptrdiff_t bytes)
{
    return it->stretch->num_threads == 1 ? 1 : fo_useful_threads(bytes, it->stretch->num_threads);
}

static ptrdiff_t bytes_of(const fo_passage *it)
{
    const fo_objective *objective = it->objective;
    if (objective->sparse)
        return it->touched->n_entries * SPARSE_ENTRY_BYTES;
    return it->batch.n * objective->n_features * objective->n_outputs * (ptrdiff_t)it->itemsize;
}

/* Mean loss of the batch; the derivatives of the mean take the place of the margins. */
static double batch_loss(const fo_passage *it)
{
    const fo_objective *objective = it->objective;
    fo_worker *worker = it->worker;
    fo_parallel_for(it->batch.n, threads_for(it, bytes_of(it)), margins_of_samples, it);
    it->kernels->labels(objective, it->batch, 1.0 / (double)it->batch.n, worker->label, worker->weight);
    return objective->loss->variants[fo_variant_index(objective->dtype)](
        worker->derivative, worker->label, worker->weight, it->batch.n, objective->n_outputs, objective->shape,
        worker->derivative);
}

/* --- gradients -------------------------------------------------------------------------------------------------- */

static void dense_columns(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const fo_passage *it = context;
    const size_t row = (size_t)it->objective->n_outputs * it->itemsize;
    memset((char *)it->worker->gradient + (size_t)lo * row, 0, (size_t)(hi - lo) * row);
    it->kernels->add_dense(it->objective, it->batch, it->worker->derivative, lo, hi, it->worker->gradient);
}

/* A row of the gradient for each touched column; the intercepts' comes last. */
static void touched_gradient(const fo_passage *it)
{
    const fo_objective *objective = it->objective;
    fo_worker *worker = it->worker;
    const size_t row = (size_t)objective->n_outputs * it->itemsize, n = (size_t)it->touched->n;
    memset(worker->gradient, 0, n * row);
    it->kernels->add_touched(objective, it->batch, it->touched, worker->derivative, worker->gradient);
    if (objective->intercept)
        it->kernels->sum_derivatives(worker->derivative, it->batch.n, objective->n_outputs,
                                     (char *)worker->gradient + n * row);
}

/* The rows of the touched columns at their places among zeros. */
static void spread_gradient(const fo_passage *it)
{
    const fo_objective *objective = it->objective;
    fo_worker *worker = it->worker;
    const size_t row = (size_t)objective->n_outputs * it->itemsize;
    const ptrdiff_t n = it->touched->n;
    const char *source = worker->gradient;
    char *to = worker->spread;
    memset(to, 0, (size_t)objective->n_features * row);
    for (ptrdiff_t j = 0; j < n; ++j)
        memcpy(to + (size_t)entry_of(it->touched->column, objective->wide, j) * row, source + (size_t)j * row, row);
    if (objective->intercept)
        memcpy(to + (size_t)objective->n_features * row, source + (size_t)n * row, row);
}

/* Makes the gradient of a step over all parameters, and returns it. */
static void *dense_gradient(const fo_passage *it)
{
    const fo_objective *objective = it->objective;
    const fo_penalty *penalty = it->stretch->penalty;
    fo_worker *worker = it->worker;
    void *gradient = objective->sparse ? worker->spread : worker->gradient;
    if (objective->sparse) {
        touched_gradient(it);
        spread_gradient(it);
    } else {
        fo_parallel_for(objective->n_features, threads_for(it, bytes_of(it)), dense_columns, it);
        if (objective->intercept)
            it->kernels->sum_derivatives(worker->derivative, it->batch.n, objective->n_outputs,
                                         (char *)gradient + weights_size(objective) * it->itemsize);
    }
    if (penalty->l2 != 0 || penalty->l1 != 0)
        it->kernels->add_penalty(param_of(it), (ptrdiff_t)weights_size(objective), penalty->l2,
                                 penalty->kind == FO_DELAYED ? penalty->l1 : 0.0, gradient);
    return gradient;
}

/* --- steps ------------------------------------------------------------------------------------------------------ */

static void bind_dense(fo_worker *worker, void *gradient)
{
    worker->array.cover = FO_DENSE;
    worker->array.grad = gradient;
}

/* The gradient is that of n touched columns from the first-th on. */
static void bind_touched(const fo_passage *it, void *gradient, ptrdiff_t first, ptrdiff_t n)
{
    const fo_objective *objective = it->objective;
    fo_array *array = &it->worker->array;
    const ptrdiff_t index_size = objective->wide ? sizeof(int64_t) : sizeof(int32_t);
    array->cover = objective->n_outputs == 1 ? FO_ELEMENTS : FO_ROWS;
    array->grad = (char *)gradient + (size_t)(first * objective->n_outputs) * it->itemsize;
    array->at.index = (char *)it->touched->column + first * index_size;
    array->at.wide = objective->wide;
    array->at.n = n;
    array->at.width = objective->n_outputs;
    array->at.room = array->cover == FO_ELEMENTS && fo_arranging_room(array) ? it->worker->room : NULL;
}

static void set_penalties(const fo_passage *it, fo_optimizer *optimizer, int64_t n_steps)
{
    const fo_stretch *stretch = it->stretch;
    const double *own = stretch->optimizer->hyper;
    optimizer->hyper[stretch->l1_at] = own[stretch->l1_at] + (double)n_steps * stretch->penalty->l1;
    optimizer->hyper[stretch->l2_at] = own[stretch->l2_at]
                                     + (stretch->dense ? 0.0 : (double)n_steps * stretch->penalty->l2);
}

void fo_solve(const fo_passage *it, int64_t t, double rate, int num_threads)
{
    fo_optimizer *optimizer = &it->worker->optimizer;
    fo_step step = optimizer->step;
    double unused[FO_MAX_CARRY + 1] = {0};
    if (t == 0)
        return;
    set_penalties(it, optimizer, t);
    optimizer->rule->prepare(optimizer->hyper, rate, t, unused, step.coef);
    fo_plan(&optimizer->work, optimizer->form);
    fo_update(&optimizer->work, optimizer->rule, optimizer->form, &step, num_threads);
}

static void run_bound(fo_worker *worker, int num_threads)
{
    const ptrdiff_t bytes = fo_plan(&worker->optimizer.work, worker->optimizer.form);
    fo_apply(&worker->optimizer, num_threads == 1 ? 1 : fo_useful_threads(bytes, num_threads));
}

/* FO_SOLVE penalises in the rule itself, so the intercepts need a step of their own. */
static void step_in_two(const fo_passage *it, void *gradient, double rate)
{
    const fo_objective *objective = it->objective;
    fo_worker *worker = it->worker;
    const ptrdiff_t n = it->stretch->dense ? objective->n_features : it->touched->n, size = worker->array.size;
    char *intercepts = (char *)gradient + (size_t)(n * objective->n_outputs) * it->itemsize;
    fo_array whole = worker->array;
    set_penalties(it, &worker->optimizer, it->t + 1);
    fo_prepare(&worker->optimizer, rate);
    if (it->stretch->dense)
        worker->array.size = (ptrdiff_t)weights_size(objective);
    else
        bind_touched(it, gradient, 0, n);
    run_bound(worker, it->stretch->num_threads);
    worker->array = whole;
    if (!objective->intercept)
        return;
    set_penalties(it, &worker->optimizer, 0);
    worker->optimizer.t = it->t;
    fo_prepare(&worker->optimizer, rate);
    worker->array.param = param_of(it) + weights_size(objective) * it->itemsize;
    for (int k = 0; k < FO_MAX_SLOTS; ++k)
        if (worker->array.state[k])
            worker->array.state[k] = (char *)worker->array.state[k] + weights_size(objective) * it->itemsize;
    worker->array.size = size - (ptrdiff_t)weights_size(objective);
    bind_dense(worker, intercepts);
    run_bound(worker, 1);
    worker->array = whole;
}

/* The norm of the bound gradient of n parameters, and whether it may be stepped with. */
static int admit(const fo_passage *it, ptrdiff_t n)
{
    if (fo_admit(&it->worker->optimizer, threads_for(it, n * (ptrdiff_t)it->itemsize)))
        return 1;
    it->worker->end = FO_BAD_GRADIENT;
    return 0;
}

/* Scalars that are carried from step to step, past the steps of other lock-free workers since this one's last. */
static void follow_others(const fo_passage *it, fo_optimizer *optimizer)
{
    const ptrdiff_t own = it->number - it->stretch->n_workers;
    if (!optimizer->rule->carry[0])
        return;
    for (ptrdiff_t k = own < 0 ? 0 : own + 1; k < it->number; ++k)
        optimizer->rule->prepare(optimizer->hyper, it->stretch->rate[k + 1], it->t - it->number + k + 1,
                                 optimizer->carried, optimizer->step.coef);
}

/* One step with the gradient that is bound. */
static void step(const fo_passage *it, void *gradient)
{
    const fo_stretch *stretch = it->stretch;
    fo_optimizer *optimizer = &it->worker->optimizer;
    const double rate = stretch->rate[it->number + 1];
    optimizer->t = it->t;
    follow_others(it, optimizer);
    if (stretch->penalty->kind == FO_SOLVE) {
        step_in_two(it, gradient, rate);
        return;
    }
    fo_prepare(optimizer, rate);
    run_bound(it->worker, stretch->num_threads);
}

/* --- batches ---------------------------------------------------------------------------------------------------- */

void fo_collect_batch(const fo_passage *it)
{
    const fo_objective *objective = it->objective;
    fo_seen *seen = &it->worker->seen;
    fo_touched *touched = it->touched;
    if (seen->base > FO_MOST_COLUMNS) {
        memset(seen->column, 0, (size_t)objective->n_features * sizeof *seen->column);
        seen->base = 1;
    }
    it->kernels->collect(objective, it->batch, seen, touched);
    seen->base += (int32_t)touched->n;
    if (objective->intercept && objective->wide)
        ((int64_t *)touched->column)[touched->n] = objective->n_features;
    else if (objective->intercept)
        ((int32_t *)touched->column)[touched->n] = (int32_t)objective->n_features;
}

/* The parameters of the batch's columns, up to date and side by side. */
static void gather(const fo_passage *it)
{
    const fo_stretch *stretch = it->stretch;
    const fo_objective *objective = it->objective;
    const fo_touched *touched = it->touched;
    if (!stretch->dense && (stretch->penalty->kind == FO_SHRINK || stretch->penalty->kind == FO_FLOW))
        fo_catch_up(stretch->penalty, touched->column, objective->wide, 0, touched->n, it->t);
    if (!stretch->dense && stretch->penalty->kind == FO_SOLVE) {
        memset(it->worker->gradient, 0, (size_t)(touched->n * objective->n_outputs) * it->itemsize);
        bind_touched(it, it->worker->gradient, 0, touched->n);
        fo_solve(it, it->t, stretch->rate[it->number], 1);
    }
    it->kernels->gather(objective, touched, param_of(it), it->worker->gathered);
}

/* Of the last gradient of the stretch. */
static void note_norm(const fo_passage *it, const void *gradient, ptrdiff_t n)
{
    const int is_last = it->number + 1 == it->stretch->n_batches;
    it->worker->squared_norm = is_last ? it->kernels->sum_squares(gradient, n) : 0.0;
}

/* Returns whether the step was made. */
static int sparse_step(const fo_passage *it)
{
    const fo_penalty *penalty = it->stretch->penalty;
    fo_worker *worker = it->worker;
    const ptrdiff_t n = it->touched->n, width = it->objective->n_outputs;
    touched_gradient(it);
    if (penalty->kind == FO_SHRINK && penalty->l2 != 0)
        it->kernels->add_penalty(worker->gathered, n * width, penalty->l2, 0.0, worker->gradient);
    if (penalty->kind == FO_DELAYED)
        fo_add_delayed(penalty, it->touched->column, it->objective->wide, n, it->t, worker->gradient);
    bind_touched(it, worker->gradient, 0, n + (it->objective->intercept ? 1 : 0));
    if (!admit(it, worker->array.at.n * width))
        return 0;
    step(it, worker->gradient);
    if (penalty->last)
        fo_note_touched(penalty, it->touched->column, it->objective->wide, n, it->t);
    note_norm(it, worker->gradient, worker->array.at.n * width);
    return 1;
}

/* Returns whether the step was made. */
static int dense_step(const fo_passage *it)
{
    const fo_penalty *penalty = it->stretch->penalty;
    fo_worker *worker = it->worker;
    void *gradient = dense_gradient(it);
    bind_dense(worker, gradient);
    if (!admit(it, worker->array.size))
        return 0;
    step(it, gradient);
    if (penalty->l1 != 0 && (penalty->kind == FO_SHRINK || penalty->kind == FO_FLOW))
        fo_threshold_all(penalty, 0, (ptrdiff_t)weights_size(it->objective), it->stretch->rate[it->number + 1]);
    note_norm(it, gradient, worker->array.size);
    return 1;
}

int fo_run_batch(const fo_passage *it)
{
    fo_worker *worker = it->worker;
    double loss;
    if (it->objective->sparse)
        gather(it);
    loss = batch_loss(it);
    if (loss - loss != 0) {
        worker->end = FO_BAD_LOSS;
        return 0;
    }
    if (!(it->stretch->dense ? dense_step(it) : sparse_step(it)))
        return 0;
    worker->loss += loss * (double)it->batch.n;
    ++worker->n_done;
    return 1;
}
