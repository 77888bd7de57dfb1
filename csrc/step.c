/* step.c -- one pass of a kernel over all arrays of an optimizer. */
#include "fastopt.h"

typedef struct {
    const fo_work *work;
    const fo_rule *rule;
    const fo_step *step;
    int form;
} pass;

/* A gradient with strides: pieces are gathered into the cache and updated from there, through a view of
 * the array that starts at the piece. */
static void update_piecewise(const fo_array *array, fo_kernel *kernel, const fo_step *step, ptrdiff_t lo,
                             ptrdiff_t hi)
{
    double buffer[FO_PIECE];
    const ptrdiff_t itemsize = (ptrdiff_t)fo_itemsize(array->dtype);
    for (ptrdiff_t start = lo, n; start < hi; start += n) {
        n = hi - start < FO_PIECE ? hi - start : FO_PIECE;
        fo_array piece = *array;
        piece.grad = fo_grad_piece(array, start, start + n, buffer);
        piece.param = (char *)array->param + start * itemsize;
        for (int k = 0; k < FO_MAX_SLOTS; ++k)
            if (array->state[k])
                piece.state[k] = (char *)array->state[k] + start * itemsize;
        kernel(&piece, step, 0, n);
    }
}

/* Blocks [lo, hi) of the work list: the arrays they fall into, and the elements of each. */
static void update_blocks(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const pass *it = context;
    const fo_work *work = it->work;
    for (ptrdiff_t k = 0; k < work->n_arrays; ++k) {
        const ptrdiff_t first = work->first_block[k], last = work->first_block[k + 1];
        if (last <= lo || first >= hi)
            continue;
        const fo_array *array = &work->arrays[k];
        const fo_variant *variant = fo_variant_of(it->rule, array->dtype);
        const ptrdiff_t per_block = FO_BLOCK_BYTES / (ptrdiff_t)fo_itemsize(array->dtype);
        const ptrdiff_t start = lo > first ? (lo - first) * per_block : 0;
        const ptrdiff_t stop = hi < last ? (hi - first) * per_block : array->size;
        if (it->form == FO_INITIALISE)
            variant->initialise(array, it->step, start, stop);
        else if (array->grad_layout.ndim == 0)
            variant->dense[it->form](array, it->step, start, stop);
        else
            update_piecewise(array, variant->dense[it->form], it->step, start, stop);
    }
}

void fo_update(const fo_work *work, const fo_rule *rule, int form, const fo_step *step, int num_threads)
{
    const pass it = {work, rule, step, form};
    fo_parallel_for(work->first_block[work->n_arrays], num_threads, update_blocks, &it);
}
