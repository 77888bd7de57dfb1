/* strided_gradient.c -- gradients that are not dense C-contiguous arrays, a buffer at a time as the dense kernels want
 * them: those with strides, and sparse ones among zeros. Never copied or expanded as a whole. */
#include <string.h>
#include "fastopt.h"
#include "update/positions.h"

/* An element on the way through an array in C order: how far along each axis, and its offset in bytes. */
typedef struct {
    ptrdiff_t at[FO_MAX_DIMS];
    ptrdiff_t offset;
} cursor;

static cursor cursor_at(const fo_strides *layout, ptrdiff_t element)
{
    cursor w;
    w.offset = 0;
    for (int axis = layout->ndim - 1; axis >= 0; --axis) {
        w.at[axis] = element % layout->shape[axis];
        element /= layout->shape[axis];
        w.offset += w.at[axis] * layout->strides[axis];
    }
    return w;
}

/* To the start of the next row of the last axis. */
static void next_row(cursor *w, const fo_strides *layout)
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

static void gather_strided(const fo_array *array, ptrdiff_t lo, ptrdiff_t hi, char *to)
{
    const fo_strides *layout = &array->grad_strides;
    const size_t itemsize = fo_itemsize(array->dtype);
    const int last = layout->ndim - 1;
    cursor w = cursor_at(layout, lo);
    while (lo < hi) {
        const ptrdiff_t left_in_row = layout->shape[last] - w.at[last];
        const ptrdiff_t n = left_in_row < hi - lo ? left_in_row : hi - lo;
        copy_strided(to, (const char *)array->grad + w.offset, n, layout->strides[last], itemsize);
        to += n * (ptrdiff_t)itemsize;
        lo += n;
        w.at[last] += n;
        w.offset += n * layout->strides[last];
        if (lo < hi)
            next_row(&w, layout);
    }
}

/* The first k whose row ends after entry `lo`; positions ascend. */
static ptrdiff_t first_row_from(const fo_positions *at, ptrdiff_t lo)
{
    ptrdiff_t low = 0, high = at->n;
    while (low < high) {
        const ptrdiff_t middle = low + (high - low) / 2;
        if ((position(at, middle) + 1) * at->width <= lo)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

#define EXPAND_ENTRIES(type)                                                                       \
    for (ptrdiff_t at_k; k < at->n && (at_k = position(at, k)) < hi; ++k)                          \
        ((type *)to)[at_k - lo] = ((const type *)array->grad)[k];

static void expand_entries(const fo_array *array, ptrdiff_t lo, ptrdiff_t hi, void *to)
{
    const fo_positions *at = &array->at;
    ptrdiff_t k = first_row_from(at, lo);
    if (fo_itemsize(array->dtype) == sizeof(float))
        EXPAND_ENTRIES(float)
    else
        EXPAND_ENTRIES(double)
}

static void expand_rows(const fo_array *array, ptrdiff_t lo, ptrdiff_t hi, char *to)
{
    const fo_positions *at = &array->at;
    const ptrdiff_t itemsize = (ptrdiff_t)fo_itemsize(array->dtype);
    for (ptrdiff_t k = first_row_from(at, lo); k < at->n; ++k) {
        const ptrdiff_t row = position(at, k) * at->width;
        if (row >= hi)
            break;
        const ptrdiff_t start = row < lo ? lo : row, stop = row + at->width < hi ? row + at->width : hi;
        const char *from = (const char *)array->grad + (k * at->width + start - row) * itemsize;
        memcpy(to + (start - lo) * itemsize, from, (size_t)((stop - start) * itemsize));
    }
}

const void *fo_dense_gradient(const fo_array *array, ptrdiff_t lo, ptrdiff_t hi, void *buffer)
{
    if (array->layout == FO_EXPANDED) {
        memset(buffer, 0, (size_t)(hi - lo) * fo_itemsize(array->dtype));
        if (array->at.width == 1)
            expand_entries(array, lo, hi, buffer);
        else
            expand_rows(array, lo, hi, (char *)buffer);
    } else if (array->grad_strides.ndim != 0)
        gather_strided(array, lo, hi, (char *)buffer);
    else
        return (const char *)array->grad + lo * (ptrdiff_t)fo_itemsize(array->dtype);
    return buffer;
}
