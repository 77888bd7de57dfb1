/* shared_batch.c -- the gradients of the parts of a mini-batch, and the step with their sum. */
#include <string.h>
#include "finite_sum/samples.h"
#include "finite_sum/shared_batch.h"

static fo_minibatch minibatch_of(const fo_segment *segment, fo_worker *worker, ptrdiff_t n_mean)
{
    const fo_objective *objective = segment->objective;
    const fo_minibatch it = {
        .segment = segment,
        .objective = objective,
        .kernels = fo_sample_kernels_of(objective->dtype),
        .worker = worker,
        .batch = segment->samples,
        .touched = &worker->touched[0],
        .number = 0,
        .t = segment->optimizer->t,
        .itemsize = fo_itemsize(objective->dtype),
        .n_mean = n_mean,
    };
    return it;
}

double fo_part_gradient(const fo_segment *segment, fo_worker *worker, ptrdiff_t n_mean)
{
    const fo_minibatch it = minibatch_of(segment, worker, n_mean);
    if (is_sparse(it.objective))
        fo_collect_columns(&it);
    return fo_minibatch_gradient(&it);
}

/* The distinct columns in the order of their first entries. No branch but for the intercepts, of which a part has one:
 * whether a column was seen could not be foreseen. */
FO_INLINE void merge_columns_of(const fo_minibatch *it, const fo_part_gradients *given, const int index64)
{
    const ptrdiff_t n_features = it->objective->n_features;
    void *columns = it->touched->columns;
    int32_t *FO_RESTRICT seen = it->worker->seen.place, *FO_RESTRICT place = given->place;
    const int32_t base = it->worker->seen.base;
    int32_t n = 0;
    for (ptrdiff_t j = 0; j < given->n; ++j) {
        const ptrdiff_t column = load_index(given->columns, index64, j);
        if (column == n_features) {
            place[j] = -1;
            continue;
        }
        const int32_t known = seen[column] - base, is_new = -(known < 0);
        const int32_t own = (n & is_new) | (known & ~is_new);
        seen[column] = base + own;
        place[j] = own;
        store_index(columns, index64, n, column);
        n -= is_new;
    }
    it->touched->n = n;
}

static void merge_columns(const fo_minibatch *it, const fo_part_gradients *given)
{
    fo_begin_collecting(it);
    if (has_index64(it->objective))
        merge_columns_of(it, given, 1);
    else
        merge_columns_of(it, given, 0);
    fo_end_collecting(it);
}

void fo_add_parts(const fo_segment *segment, fo_worker *worker, const fo_part_gradients *given)
{
    const fo_minibatch it = minibatch_of(segment, worker, 1);
    const ptrdiff_t n_outputs = it.objective->n_outputs;
    merge_columns(&it, given);
    if (segment->penalty->kind != FO_NO_PENALTY || segment->last_step)
        fo_gather_touched(&it);  /* brings them up to date. First: it may use the memory of the gradient */
    memset(worker->gradient, 0, fo_rows_size(&it, it.touched->n + (it.objective->intercept ? 1 : 0)));
    it.kernels->add_rows(given->place, given->n, n_outputs, it.touched->n, given->rows, worker->gradient);
}

void fo_step_shared(const fo_segment *segment, fo_worker *worker, ptrdiff_t n_mean, double loss)
{
    const fo_minibatch it = minibatch_of(segment, worker, n_mean);
    fo_minibatch_step(&it, loss);
}
