/* blocks.c -- the work list of an optimizer in blocks, and kernels over blocks of it. */
#include <assert.h>
#include <string.h>
#include "fastopt.h"
#include "update/blocks.h"
#include "update/catch_up.h"
#include "update/positions.h"
#include "update/storage.h"

/* Whether a pass that steps gives its kernels reduced slots as they are, not in views. */
static int kernels_decode(const fo_pass *it)
{
    return !it->work->by_rows && (fo_kernels_decode() || it->rule->sums_during > 0);
}

void fo_run_on_views(const fo_pass *it, const fo_array *array, const fo_step *step, fo_kernel *kernel, ptrdiff_t lo,
                     ptrdiff_t hi)
{
    double buffer[FO_GRADIENT_BUFFER];
    fo_scratch scratch;
    const ptrdiff_t unit = it->work->by_rows ? array->row_width : 1;
    const int decodes = array->reduced && (it->only_reads || !kernels_decode(it));
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
static void run_on_copies(const fo_pass *it, const fo_array *array, const fo_step *step, fo_kernel *kernel,
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
static int is_inside(const fo_pass *it, const fo_array *array, ptrdiff_t lo, ptrdiff_t hi)
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

static void run_step(const fo_pass *it, const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi)
{
    const fo_rule_kernels *kernels = fo_kernels_of(it->rule, array->dtype);
    const int form = it->form | step->modified;
    const ptrdiff_t unit = it->work->by_rows ? array->row_width : 1;
    if (array->reduced && is_sparse(array))
        run_on_copies(it, array, step, kernels->dense[form], lo, hi);
    else if (array->reduced && !kernels_decode(it))
        fo_run_on_views(it, array, step, kernels->dense[form], lo * unit, hi * unit);
    else if (array->layout == FO_ROWS || (array->layout == FO_ELEMENTS && it->work->by_rows))
        kernels->rows[form](array, step, lo, hi);
    else if (array->layout == FO_ELEMENTS) {
        const fo_array sorted = array->at.workspace ? fo_partition(array, lo, hi) : *array;
        kernels->elements[form >> 1](&sorted, step, lo, hi, kernels->dense[form]);
    } else if (!it->work->by_rows && (array->layout == FO_EXPANDED || array->grad_strides.ndim != 0))
        fo_run_on_views(it, array, step, kernels->dense[form], lo, hi);
    else
        kernels->dense[form](array, step, lo, hi);
}

void fo_run_kernel(const fo_pass *it, const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi)
{
    const fo_rule_kernels *kernels = fo_kernels_of(it->rule, array->dtype);
    assert(is_inside(it, array, lo, hi));
    if (it->form == FO_INITIALISE)
        initialise(it->rule, array, step, lo, hi);
    else if (it->form == FO_FLUSH)
        kernels->flush(array, step, lo, hi);
    else if (it->form == FO_CATCH_UP)
        kernels->catch_up(array, step, lo, hi);
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
    const fo_pass *it = context;
    const fo_work *work = it->work;
    for (ptrdiff_t k = 0; k < work->n_arrays; ++k) {
        const ptrdiff_t first = work->first_block[k], last = work->first_block[k + 1];
        if (last <= lo || first >= hi)
            continue;
        const fo_array *array = &work->arrays[k];
        const int whole = lo <= first && hi >= last;      /* a short step then has no division */
        const ptrdiff_t per_block = whole ? 0 : units_per_block(work, array, it->form);
        const ptrdiff_t start = lo > first ? (lo - first) * per_block : 0;
        const ptrdiff_t stop = hi < last ? (hi - first) * per_block : units_of(work, array, it->form);
        fo_run_kernel(it, array, &it->groups[array->group].step, start, stop);
    }
}

void fo_update(const fo_work *work, const fo_rule *rule, int form, const fo_group *groups, int num_threads)
{
    const fo_pass it = {work, rule, groups, form, 0};
    fo_parallel_for(work->first_block[work->n_arrays], num_threads, update_blocks, &it);
}
