/* orthogonal.c -- the workspace of rules that make directions orthogonal, and the passes over one matrix after the
 * other. */
#include <string.h>
#include "update/orthogonal.h"
#include "update/storage.h"
#include "update/sums.h"

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* Cuts memory up, if there is any; the bytes that are needed. */
static size_t lay_out(const fo_work *work, fo_orthogonal *room, char *memory)
{
    size_t entries = 0, square = 0;
    for (ptrdiff_t k = 0; k < work->n_arrays; ++k) {
        const fo_array *array = &work->arrays[k];
        const size_t rows = (size_t)array->rows, columns = (size_t)array->columns, itemsize = fo_itemsize(array->dtype);
        const size_t side = rows < columns ? rows : columns;
        if (array->size > 0) {
            entries = larger(entries, rows * columns * itemsize);
            square = larger(square, side * side * itemsize);
        }
    }
    enum { ALIGNMENT = 64 };
    const size_t head = larger(sizeof *room, ALIGNMENT);
    entries += ALIGNMENT - entries % ALIGNMENT;
    square += ALIGNMENT - square % ALIGNMENT;
    if (memory) {
        room->x = memory + head;
        room->next = memory + head + entries;
        room->gram = memory + head + 2 * entries;
        room->polynomial = memory + head + 2 * entries + square;
    }
    return head + 2 * entries + 2 * square;
}

size_t fo_orthogonal_workspace(const fo_work *work) { return lay_out(work, NULL, NULL); }

fo_orthogonal *fo_bind_orthogonal(const fo_work *work, void *workspace)
{
    lay_out(work, workspace, workspace);
    return workspace;
}

/* One matrix of an array, in chunks of entries whose bounds depend on its size only. */
typedef struct {
    const fo_optimizer *it;
    const fo_orthogonal_kernels *kernels;
    const fo_array *array;
    fo_step step;                /* with the scalars of the array */
    int form;                    /* of the kernels, with FO_MODIFIED if the step is */
    ptrdiff_t first, size;       /* its entries in the array */
    ptrdiff_t chunk, chunks;
    char *x;
    double factors[2];
} matrix_task;

static void cut(matrix_task *task)
{
    const ptrdiff_t buffers = (task->size + FO_GRADIENT_BUFFER - 1) / FO_GRADIENT_BUFFER;
    task->chunk = (buffers + FO_MAX_CHUNKS - 1) / FO_MAX_CHUNKS * FO_GRADIENT_BUFFER;
    task->chunks = (task->size + task->chunk - 1) / task->chunk;
}

/* The part of a matrix that is chunk k: where it starts, and its entries. */
static ptrdiff_t chunk_at(const matrix_task *task, ptrdiff_t k, ptrdiff_t *n)
{
    const ptrdiff_t start = k * task->chunk, left = task->size - start;
    *n = left < task->chunk ? left : task->chunk;
    return start;
}

static void direct_chunks(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const matrix_task *task = context;
    const ptrdiff_t itemsize = (ptrdiff_t)fo_itemsize(task->array->dtype);
    const ptrdiff_t most = task->array->reduced ? FO_VIEW_ENTRIES : FO_GRADIENT_BUFFER;
    double buffer[FO_GRADIENT_BUFFER];
    fo_scratch scratch;
    fo_step step = task->step;
    fo_lanes lanes;
    step.lanes = &lanes;
    for (ptrdiff_t k = lo, size; k < hi; ++k) {
        const ptrdiff_t start = chunk_at(task, k, &size), stop = start + size;
        fo_start_lanes(&lanes, 0, 1, 0);
        for (ptrdiff_t at = start, n; at < stop; at += n) {
            n = stop - at < most ? stop - at : most;
            fo_array view = fo_load_view(task->it->rule, task->array, task->first + at, n, &scratch);
            view.grad = fo_dense_gradient(task->array, task->first + at, task->first + at + n, buffer);
            task->kernels->direct[task->form](&view, &step, n, task->x + at * itemsize);
            fo_store_view(task->array, &view, n, step.t);
        }
        task->it->partial[k] = fo_total_lanes(&lanes, 0, 1, task->array->dtype);
    }
}

static void scale_chunks(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const matrix_task *task = context;
    const ptrdiff_t itemsize = (ptrdiff_t)fo_itemsize(task->array->dtype);
    for (ptrdiff_t k = lo, n; k < hi; ++k) {
        const ptrdiff_t start = chunk_at(task, k, &n);
        task->kernels->scale(task->x + start * itemsize, n, task->factors[0], task->factors[1]);
    }
}

/* The gradient is the direction now; of all that may be done to a gradient before, only weight decay is left. */
static void update_chunks(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const matrix_task *task = context;
    const fo_rule_kernels *kernels = fo_kernels_of(task->it->rule, task->array->dtype);
    const ptrdiff_t most = task->array->reduced ? FO_VIEW_ENTRIES : FO_GRADIENT_BUFFER;
    fo_scratch scratch;
    fo_step step = task->step;
    step.clip_value = HUGE_VAL;
    step.grad_scale = 1.0;
    step.l2 = 0.0;
    for (ptrdiff_t k = lo, size; k < hi; ++k) {
        const ptrdiff_t start = chunk_at(task, k, &size), stop = start + size;
        for (ptrdiff_t at = start, n; at < stop; at += n) {
            n = stop - at < most ? stop - at : most;
            fo_array view = fo_load_view(task->it->rule, task->array, task->first + at, n, &scratch);
            view.grad = task->x + at * (ptrdiff_t)fo_itemsize(task->array->dtype);
            kernels->dense[task->form](&view, &step, 0, n);
        }
    }
}

/* What makes the norm one, in two factors, as each alone may be too large or too small for a double. A norm of NaN is
 * as good as any: the direction has a NaN itself. */
static void normalise(matrix_task *task)
{
    fo_sums sums = {0};
    for (ptrdiff_t k = 0; k < task->chunks; ++k)
        sums = fo_add_sums(sums, task->it->partial[k]);
    const fo_sum squares = sums.sum[0];
    const fo_scaled sum = fo_scaled_sum(squares);
    const double least = task->kernels->least(&task->step);
    const int small = !(fo_root(squares) > least);
    task->factors[0] = small ? 1.0 : ldexp(1.0, -sum.exponent / 2);
    task->factors[1] = 1.0 / (small ? least : sqrt(sum.value));
}

static void step_matrix(matrix_task *task, int num_threads)
{
    const fo_orthogonal *room = task->it->orthogonal;
    const int n_threads = fo_useful_threads(task->size * (ptrdiff_t)fo_itemsize(task->array->dtype), num_threads);
    task->x = room->x;
    fo_parallel_for(task->chunks, n_threads, direct_chunks, task);
    normalise(task);
    fo_parallel_for(task->chunks, n_threads, scale_chunks, task);
    task->x = task->kernels->iterate(task->array, &task->step, room, n_threads);
    fo_parallel_for(task->chunks, n_threads, update_chunks, task);
}

void fo_step_orthogonal(fo_optimizer *it, int num_threads)
{
    for (ptrdiff_t k = 0; k < it->work.n_arrays; ++k) {
        const fo_array *array = &it->work.arrays[k];
        if (array->size == 0 || array->layout == FO_ABSENT)
            continue;
        matrix_task task = {.it = it, .array = array, .step = it->groups[array->group].step};
        task.form = it->form | task.step.modified;
        task.kernels = fo_kernels_of(it->rule, array->dtype)->orthogonal;
        task.size = array->rows * array->columns;
        memcpy(task.step.coef, array->own->coef, sizeof task.step.coef);
        cut(&task);
        for (task.first = 0; task.first < array->size; task.first += task.size)
            step_matrix(&task, num_threads);
    }
}
