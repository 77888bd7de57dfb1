/* records.c -- between arrays and records: see records.h. */
#include <string.h>
#include "finite_sum/records.h"
#include "core/variants.h"

/* The arrays that are in the records, in their order. */
typedef struct {
    char *field[1 + FO_MAX_SLOTS];
    int n;
} fields;

static fields fields_of(const fo_array *array)
{
    fields to = {{array->param}, 1};
    for (int k = 0; k < FO_MAX_SLOTS; ++k)
        if (array->state[k])
            to.field[to.n++] = array->state[k];
    return to;
}

fo_array fo_in_records(const fo_records *it, const fo_array *array)
{
    const size_t itemsize = fo_itemsize(array->dtype);
    fo_array view = *array;
    char *place = it->memory;
    if (!it->memory)
        return view;
    view.size *= it->spacing;
    view.param = place;
    for (int k = 0; k < FO_MAX_SLOTS; ++k)
        if (array->state[k])
            view.state[k] = place += itemsize;
    return view;
}

typedef struct {
    const fo_records *records;
    const fo_array *array;
    int stores;
} copy_task;

FO_INLINE void copy_records(const copy_task *it, ptrdiff_t lo, ptrdiff_t hi, const size_t itemsize)
{
    const fields of = fields_of(it->array);
    const size_t spacing = (size_t)it->records->spacing * itemsize;
    for (ptrdiff_t i = lo; i < hi; ++i)
        for (int k = 0; k < of.n; ++k) {
            char *record = (char *)it->records->memory + (size_t)i * spacing + (size_t)k * itemsize;
            char *entry = of.field[k] + (size_t)i * itemsize;
            memcpy(it->stores ? entry : record, it->stores ? record : entry, itemsize);
        }
}

static void copy_range(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const copy_task *it = context;
    if (fo_itemsize(it->array->dtype) == sizeof(float))
        copy_records(it, lo, hi, sizeof(float));
    else
        copy_records(it, lo, hi, sizeof(double));
}

static void copy(const copy_task *it, int num_threads)
{
    const ptrdiff_t n = it->array->size;
    if (it->records->memory)
        fo_parallel_for(n, fo_useful_threads(n * (ptrdiff_t)fo_itemsize(it->array->dtype), num_threads), copy_range,
                        it);
}

void fo_load_records(const fo_records *it, const fo_array *array, int num_threads)
{
    const copy_task task = {it, array, 0};
    copy(&task, num_threads);
}

void fo_store_records(const fo_records *it, const fo_array *array, int num_threads)
{
    const copy_task task = {it, array, 1};
    copy(&task, num_threads);
}
