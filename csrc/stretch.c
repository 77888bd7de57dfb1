/* stretch.c -- the batches of a stretch, one after the other or lock-free side by side. */
#include <math.h>
#include <string.h>
#include "samples.h"
#include "descend.h"

enum { SPARSE_ENTRY_BYTES = 32 };        /* what an entry of a sparse row costs, in bytes of a stream */

/* One batch on its way through a worker. */
typedef struct {
    const fo_stretch *stretch;
    const fo_objective *objective;
    const fo_row_kernels *kernels;
    fo_worker *worker;
    fo_batch batch;
    ptrdiff_t number;            /* in the stretch */
    int64_t t;                   /* steps before this one */
    size_t itemsize;
} passage;

static size_t weights_size(const fo_objective *it) { return (size_t)(it->n_features * it->n_outputs); }

static char *param_of(const passage *it) { return it->worker->array.param; }

static void *intercept_of(const passage *it)
{
    return it->objective->intercept ? param_of(it) + weights_size(it->objective) * it->itemsize : NULL;
}

/* --- margins and losses ----------------------------------------------------------------------------------------- */

static void margins_of_samples(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const passage *it = context;
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
    it->kernels->margins_of_touched(objective, it->batch, &it->worker->touched, lo, hi, entry, it->worker->gathered,
                                    intercept_of(it), z);
}

static int threads_for(const passage *it, ptrdiff_t bytes)
{
    return it->stretch->num_threads == 1 ? 1 : fo_useful_threads(bytes, it->stretch->num_threads);
}

static ptrdiff_t bytes_of(const passage *it)
{
    const fo_objective *objective = it->objective;
    if (objective->sparse)
        return it->worker->touched.n_entries * SPARSE_ENTRY_BYTES;
    return it->batch.n * objective->n_features * objective->n_outputs * (ptrdiff_t)it->itemsize;
}

static int all_finite(const passage *it)
{
    const double sum = it->kernels->sum_squares(it->worker->derivative, it->batch.n * it->objective->n_outputs);
    return sum - sum == 0;
}

/* Mean loss of the batch; the derivatives of the mean take the place of the margins. */
static double batch_loss(const passage *it)
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
    const passage *it = context;
    const size_t row = (size_t)it->objective->n_outputs * it->itemsize;
    memset((char *)it->worker->gradient + (size_t)lo * row, 0, (size_t)(hi - lo) * row);
    it->kernels->add_dense(it->objective, it->batch, it->worker->derivative, lo, hi, it->worker->gradient);
}

/* A row of the gradient for each touched column; the intercepts' comes last. */
static void touched_gradient(const passage *it)
{
    const fo_objective *objective = it->objective;
    fo_worker *worker = it->worker;
    const size_t row = (size_t)objective->n_outputs * it->itemsize, n = (size_t)worker->touched.n;
    memset(worker->gradient, 0, n * row);
    it->kernels->add_touched(objective, it->batch, &worker->touched, worker->derivative, worker->gradient);
    if (objective->intercept)
        it->kernels->sum_derivatives(worker->derivative, it->batch.n, objective->n_outputs,
                                     (char *)worker->gradient + n * row);
}

/* The rows of the touched columns at their places among zeros. */
static void spread_gradient(const passage *it)
{
    const fo_objective *objective = it->objective;
    fo_worker *worker = it->worker;
    const size_t row = (size_t)objective->n_outputs * it->itemsize;
    const ptrdiff_t n = worker->touched.n;
    const char *source = worker->gradient;
    char *to = worker->spread;
    memset(to, 0, (size_t)objective->n_features * row);
    for (ptrdiff_t j = 0; j < n; ++j)
        memcpy(to + (size_t)entry_of(worker->touched.column, objective->wide, j) * row, source + (size_t)j * row, row);
    if (objective->intercept)
        memcpy(to + (size_t)objective->n_features * row, source + (size_t)n * row, row);
}

/* Makes the gradient of a step over all parameters, and returns it. */
static void *dense_gradient(const passage *it)
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
static void bind_touched(const passage *it, void *gradient, ptrdiff_t first, ptrdiff_t n)
{
    const fo_objective *objective = it->objective;
    fo_array *array = &it->worker->array;
    const ptrdiff_t index_size = objective->wide ? sizeof(int64_t) : sizeof(int32_t);
    array->cover = objective->n_outputs == 1 ? FO_ELEMENTS : FO_ROWS;
    array->grad = (char *)gradient + (size_t)(first * objective->n_outputs) * it->itemsize;
    array->at.index = (char *)it->worker->touched.column + first * index_size;
    array->at.wide = objective->wide;
    array->at.n = n;
    array->at.width = objective->n_outputs;
    array->at.room = array->cover == FO_ELEMENTS && fo_arranging_room(array) ? it->worker->room : NULL;
}

static void set_penalties(const passage *it, fo_optimizer *optimizer, int64_t n_steps)
{
    const fo_stretch *stretch = it->stretch;
    const double *own = stretch->optimizer->hyper;
    optimizer->hyper[stretch->l1_at] = own[stretch->l1_at] + (double)n_steps * stretch->penalty->l1;
    optimizer->hyper[stretch->l2_at] = own[stretch->l2_at] + (stretch->dense ? 0.0 : (double)n_steps * stretch->penalty->l2);
}

/* FO_SOLVE: what the bound columns are after t steps; a zero gradient leaves the state as it is. */
static void solve(const passage *it, int64_t t, double rate, int num_threads)
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
static void step_in_two(const passage *it, void *gradient, double rate)
{
    const fo_objective *objective = it->objective;
    fo_worker *worker = it->worker;
    const ptrdiff_t n = it->stretch->dense ? objective->n_features : worker->touched.n, size = worker->array.size;
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

/* One step with the gradient that is bound. */
static void step(const passage *it, void *gradient)
{
    const fo_stretch *stretch = it->stretch;
    fo_optimizer *optimizer = &it->worker->optimizer;
    const double rate = stretch->rate[it->number + 1];
    optimizer->t = it->t;
    fo_admit(optimizer, stretch->num_threads);
    if (stretch->penalty->kind == FO_SOLVE) {
        step_in_two(it, gradient, rate);
        return;
    }
    fo_prepare(optimizer, rate);
    run_bound(it->worker, stretch->num_threads);
}

/* --- batches ---------------------------------------------------------------------------------------------------- */

/* The distinct columns of the batch, their parameters up to date and side by side. */
static void touch(const passage *it)
{
    const fo_stretch *stretch = it->stretch;
    const fo_objective *objective = it->objective;
    fo_touched *touched = &it->worker->touched;
    if (touched->base > INT32_MAX / 2) {
        memset(touched->seen, 0, (size_t)objective->n_features * sizeof *touched->seen);
        touched->base = 1;
    }
    it->kernels->collect(objective, it->batch, touched);
    touched->base += (int32_t)touched->n;
    if (objective->intercept && objective->wide)
        ((int64_t *)touched->column)[touched->n] = objective->n_features;
    else if (objective->intercept)
        ((int32_t *)touched->column)[touched->n] = (int32_t)objective->n_features;
    if (!stretch->dense && (stretch->penalty->kind == FO_SHRINK || stretch->penalty->kind == FO_FLOW))
        fo_catch_up(stretch->penalty, touched->column, objective->wide, 0, touched->n, it->t);
    if (!stretch->dense && stretch->penalty->kind == FO_SOLVE) {
        memset(it->worker->gradient, 0, (size_t)(touched->n * objective->n_outputs) * it->itemsize);
        bind_touched(it, it->worker->gradient, 0, touched->n);
        solve(it, it->t, stretch->rate[it->number], 1);
    }
    it->kernels->gather(objective, touched, param_of(it), it->worker->gathered);
}

static void sparse_step(const passage *it)
{
    const fo_penalty *penalty = it->stretch->penalty;
    fo_worker *worker = it->worker;
    const ptrdiff_t n = worker->touched.n, width = it->objective->n_outputs;
    touched_gradient(it);
    if (penalty->kind == FO_SHRINK && penalty->l2 != 0)
        it->kernels->add_penalty(worker->gathered, n * width, penalty->l2, 0.0, worker->gradient);
    if (penalty->kind == FO_DELAYED)
        fo_add_delayed(penalty, worker->touched.column, it->objective->wide, n, it->t, worker->gradient);
    bind_touched(it, worker->gradient, 0, n + (it->objective->intercept ? 1 : 0));
    step(it, worker->gradient);
    if (penalty->last)
        fo_note_touched(penalty, worker->touched.column, it->objective->wide, n, it->t);
    worker->squared_norm = it->number + 1 == it->stretch->n_batches
        ? it->kernels->sum_squares(worker->gradient, worker->array.at.n * width) : 0.0;
}

static void dense_step(const passage *it)
{
    const fo_penalty *penalty = it->stretch->penalty;
    fo_worker *worker = it->worker;
    void *gradient = dense_gradient(it);
    bind_dense(worker, gradient);
    step(it, gradient);
    if (penalty->l1 != 0 && (penalty->kind == FO_SHRINK || penalty->kind == FO_FLOW))
        fo_threshold_all(penalty, 0, (ptrdiff_t)weights_size(it->objective), it->stretch->rate[it->number + 1]);
    worker->squared_norm = it->number + 1 == it->stretch->n_batches
        ? it->kernels->sum_squares(gradient, worker->array.size) : 0.0;
}

/* Whether the stretch goes on after this batch. */
static int run_batch(const passage *it)
{
    fo_worker *worker = it->worker;
    double loss;
    if (it->objective->sparse)
        touch(it);
    loss = batch_loss(it);
    if (loss - loss != 0) {
        worker->end = FO_BAD_LOSS;
        return 0;
    }
    if (it->stretch->optimizer->nonfinite != FO_PROPAGATE && !all_finite(it)) {
        worker->end = FO_BAD_GRADIENT;
        return 0;
    }
    if (it->stretch->dense)
        dense_step(it);
    else
        sparse_step(it);
    worker->loss += loss * (double)it->batch.n;
    ++worker->n_done;
    return 1;
}

static passage passage_of(const fo_stretch *stretch, fo_worker *worker, ptrdiff_t number)
{
    const fo_objective *objective = stretch->objective;
    const ptrdiff_t lo = number * stretch->batch_size, hi = lo + stretch->batch_size;
    const passage it = {
        stretch, objective, fo_row_kernels_of(objective->dtype), worker,
        part_of(stretch->samples, lo, hi < stretch->samples.n ? hi : stretch->samples.n), number,
        stretch->optimizer->t + number, fo_itemsize(objective->dtype),
    };
    return it;
}

/* The batches first, first + n_workers, ... */
static void run_worker(const fo_stretch *stretch, fo_worker *worker, ptrdiff_t first)
{
    if (stretch->plain) {
        fo_descend(stretch, worker, first);
        return;
    }
    for (ptrdiff_t number = first; number < stretch->n_batches; number += stretch->n_workers) {
        const passage each = passage_of(stretch, worker, number);
        if (!run_batch(&each))
            return;
    }
}

typedef struct {
    const fo_stretch *stretch;
    fo_worker *workers;
} team;

static void run_workers(const void *context, ptrdiff_t first, ptrdiff_t last)
{
    const team *it = context;
    for (ptrdiff_t k = first; k < last; ++k)
        run_worker(it->stretch, &it->workers[k], k);
}

/* A worker's optimizer has an array of its own over the same parameters and state. */
static void start(const fo_stretch *stretch, fo_worker *worker)
{
    worker->optimizer = *stretch->optimizer;
    worker->optimizer.nonfinite = FO_PROPAGATE;   /* the derivatives are looked at instead */
    worker->optimizer.partial = worker->partial;
    worker->array = stretch->optimizer->work.arrays[0];
    worker->array.last_step = NULL;
    worker->array.grad_layout.ndim = 0;
    worker->optimizer.work.arrays = &worker->array;
    worker->optimizer.work.first_block = worker->first_block;
    worker->loss = worker->squared_norm = 0.0;
    worker->n_done = worker->n_skipped = 0;
    worker->end = FO_COMPLETE;
}

void fo_run_stretch(const fo_stretch *stretch, fo_worker *workers)
{
    const team it = {stretch, workers};
    for (int k = 0; k < stretch->n_workers; ++k)
        start(stretch, &workers[k]);
    fo_parallel_for(stretch->n_workers, stretch->n_workers, run_workers, &it);
}

/* --- the end of a stretch --------------------------------------------------------------------------------------- */

typedef struct {
    const fo_penalty *penalty;
    int64_t t;
} settlement;

static void settle_columns(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const settlement *it = context;
    fo_catch_up(it->penalty, NULL, 0, lo, hi, it->t);
    for (ptrdiff_t column = lo; column < hi; ++column)
        it->penalty->last[column] = it->t - 1;
}

void fo_settle(const fo_stretch *stretch, fo_worker *worker, int64_t t)
{
    const settlement it = {stretch->penalty, t};
    const passage whole = passage_of(stretch, worker, 0);
    fo_array *array = &worker->array;
    const fo_array before = *array;
    if (stretch->dense || t == stretch->optimizer->t)
        return;
    if (stretch->plain) {
        fo_settle_descent(stretch, t);
        return;
    }
    if (stretch->penalty->kind == FO_SHRINK || stretch->penalty->kind == FO_FLOW)
        fo_parallel_for(stretch->penalty->n_columns,
                        fo_useful_threads((ptrdiff_t)(weights_size(stretch->objective) * whole.itemsize), stretch->num_threads),
                        settle_columns, &it);
    if (stretch->penalty->kind == FO_SOLVE) {
        array->cover = FO_SPREAD;                /* a gradient of zeros */
        array->at.n = 0;
        array->at.width = 1;
        array->size = (ptrdiff_t)weights_size(stretch->objective);
        solve(&whole, t, stretch->rate[t - stretch->optimizer->t], stretch->num_threads);
        *array = before;
    }
}
