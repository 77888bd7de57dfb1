/* strided.c -- gradients that are not C-contiguous are read piece by piece, never copied as a whole. */
#include <string.h>
#include "fastopt.h"

/* Element positions of one walk in C order: how far along each axis, and the byte offset that makes. */
typedef struct {
    ptrdiff_t at[FO_MAX_DIMS];
    ptrdiff_t offset;
} walk;

static walk walk_from(const fo_layout *layout, ptrdiff_t element)
{
    walk w;
    w.offset = 0;
    for (int axis = layout->ndim - 1; axis >= 0; --axis) {
        w.at[axis] = element % layout->shape[axis];
        element /= layout->shape[axis];
        w.offset += w.at[axis] * layout->strides[axis];
    }
    return w;
}

/* To the start of the next row of the last axis. */
static void next_row(walk *w, const fo_layout *layout)
{
    int axis = layout->ndim - 1;
    w->offset -= w->at[axis] * layout->strides[axis];
    w->at[axis] = 0;
    for (--axis; axis >= 0; --axis) {
        w->offset += layout->strides[axis];
        if (++w->at[axis] < layout->shape[axis])
            return;
        w->offset -= w->at[axis] * layout->strides[axis];
        w->at[axis] = 0;
    }
}

#define COPY_STRIDED(type)                                          \
    for (ptrdiff_t i = 0; i < n; ++i, from += stride)               \
        memcpy(to + i * (ptrdiff_t)sizeof(type), from, sizeof(type));

static void copy_strided(char *to, const char *from, ptrdiff_t n, ptrdiff_t stride, size_t itemsize)
{
    if (itemsize == sizeof(float))
        COPY_STRIDED(float)
    else
        COPY_STRIDED(double)
}

const void *fo_grad_piece(const fo_array *array, ptrdiff_t lo, ptrdiff_t hi, void *buffer)
{
    const fo_layout *layout = &array->grad_layout;
    const size_t itemsize = fo_itemsize(array->dtype);
    const char *grad = (const char *)array->grad;
    if (layout->ndim == 0)
        return grad + lo * (ptrdiff_t)itemsize;

    const int last = layout->ndim - 1;
    char *to = (char *)buffer;
    walk w = walk_from(layout, lo);
    while (lo < hi) {
        const ptrdiff_t left_in_row = layout->shape[last] - w.at[last];
        const ptrdiff_t n = left_in_row < hi - lo ? left_in_row : hi - lo;
        copy_strided(to, grad + w.offset, n, layout->strides[last], itemsize);
        to += n * (ptrdiff_t)itemsize;
        lo += n;
        w.at[last] += n;
        w.offset += n * layout->strides[last];
        if (lo < hi)
            next_row(&w, layout);
    }
    return buffer;
}
