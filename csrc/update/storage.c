/* storage.c -- views of arrays whose slots may be stored in fewer bits, and copies of entries of them. */
#include "update/codes.h"
#include "update/positions.h"
#include "update/storage.h"

#define MULTIPLES_4(k) (k) * FO_WEYL, ((k) + 1) * FO_WEYL, ((k) + 2) * FO_WEYL, ((k) + 3) * FO_WEYL
#define MULTIPLES_16(k) MULTIPLES_4(k), MULTIPLES_4((k) + 4), MULTIPLES_4((k) + 8), MULTIPLES_4((k) + 12)
#define MULTIPLES_64(k) MULTIPLES_16(k), MULTIPLES_16((k) + 16), MULTIPLES_16((k) + 32), MULTIPLES_16((k) + 48)
const uint32_t fo_weyl[FO_GROUP_ENTRIES] = {MULTIPLES_64(0u), MULTIPLES_64(64u), MULTIPLES_64(128u),
                                            MULTIPLES_64(192u)};

/* Entries [first, first + n), or those at n places, of the codes of a slot; `values` are of the parameter's dtype. */
typedef struct {
    void (*decode)(const fo_codes *codes, ptrdiff_t first, ptrdiff_t n, void *values);
    void (*encode)(const fo_codes *codes, ptrdiff_t first, ptrdiff_t n, const void *values, const fo_noise *noise);
    void (*decode_at)(const fo_codes *codes, const ptrdiff_t *at, ptrdiff_t n, void *values);
    void (*encode_at)(const fo_codes *codes, const ptrdiff_t *at, ptrdiff_t n, const void *values,
                      const fo_noise *noise);
} fo_codec;

typedef struct {
    fo_codec codecs[FO_N_STORAGES];   /* none of FO_AS_PARAMETER */
    void (*gather)(const void *from, const ptrdiff_t *at, ptrdiff_t n, void *to);
    void (*scatter)(const void *from, const ptrdiff_t *at, ptrdiff_t n, void *to);
} storage_kernels;

#define PREFIX storage
#define FO_TEMPLATE "update/storage_tmpl.h"
#include "core/variants.h"
FO_KERNEL_TABLE(const storage_kernels);

/* --- views ------------------------------------------------------------------------------------------------------ */

static const fo_codec *codec_of(const fo_array *array, int slot)
{
    return &FO_KERNELS(array->dtype)->codecs[array->reduced->codes[slot].storage];
}

static int is_reduced(const fo_array *array, int slot)
{
    return array->reduced && array->reduced->codes[slot].storage != FO_AS_PARAMETER;
}

/* Reduced slots keep their codes, which are found by `first`. */
fo_array fo_view_from(const fo_rule *rule, const fo_array *array, ptrdiff_t entry)
{
    const ptrdiff_t itemsize = (ptrdiff_t)fo_itemsize(array->dtype);
    fo_array view = *array;
    view.layout = FO_DENSE;
    view.grad = NULL;
    view.grad_strides.ndim = 0;
    view.param = (char *)array->param + entry * itemsize;
    view.first = array->first + entry;
    for (int k = 0; rule->slots[k].name; ++k) {
        if (!array->state[k])
            continue;
        if (rule->slots[k].per == FO_PER_ENTRY)
            view.state[k] = (char *)array->state[k] + entry * itemsize;
        if (rule->slots[k].per == FO_PER_ROW)
            view.state[k] = (char *)array->state[k] + entry / array->row_width * itemsize;
    }
    return view;
}

fo_array fo_load_view(const fo_rule *rule, const fo_array *array, ptrdiff_t entry, ptrdiff_t n, fo_scratch *scratch)
{
    fo_array view = fo_view_from(rule, array, entry);
    for (int k = 0; array->reduced && k < FO_MAX_SLOTS; ++k)
        if (is_reduced(array, k)) {
            view.state[k] = scratch->slots[k];
            codec_of(array, k)->decode(&array->reduced->codes[k], view.first, n, view.state[k]);
        }
    view.reduced = NULL;
    return view;
}

void fo_store_view(const fo_array *array, const fo_array *view, ptrdiff_t n, int64_t t)
{
    for (int k = 0; array->reduced && k < FO_MAX_SLOTS; ++k)
        if (is_reduced(array, k)) {
            const fo_noise noise = fo_noise_of(array->reduced, k, t);
            codec_of(array, k)->encode(&array->reduced->codes[k], view->first, n, view->state[k], &noise);
        }
}

void fo_decode_slot(const fo_array *array, int slot, void *values)
{
    codec_of(array, slot)->decode(&array->reduced->codes[slot], 0, array->size, values);
}

void fo_encode_slot(const fo_array *array, int slot, const void *values)
{
    const fo_noise noise = fo_noise_of(array->reduced, slot, 0);
    codec_of(array, slot)->encode(&array->reduced->codes[slot], 0, array->size, values, &noise);
}

/* Of codes of 8 bits, such that what follows is aligned. */
static size_t bytes_of_codes(ptrdiff_t size) { return ((size_t)size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE; }

size_t fo_log8_bytes(ptrdiff_t size)
{
    const ptrdiff_t blocks = (size + FO_GROUP_ENTRIES - 1) / FO_GROUP_ENTRIES;
    return bytes_of_codes(size) + (size_t)blocks * sizeof(uint16_t);
}

fo_codes fo_codes_at(fo_storage storage, ptrdiff_t size, void *memory)
{
    fo_codes codes = {storage, size, memory, NULL};
    if (storage == FO_LOG8)
        codes.offsets = (uint16_t *)((char *)memory + bytes_of_codes(size));
    return codes;
}

/* --- touched entries ---------------------------------------------------------------------------------------------- */

static int has_blocks(const fo_array *array)
{
    for (int k = 0; k < FO_MAX_SLOTS; ++k)
        if (array->reduced->codes[k].storage == FO_LOG8)
            return 1;
    return 0;
}

/* The place of a touched entry. */
static ptrdiff_t place_of(const fo_array *array, ptrdiff_t touched)
{
    const ptrdiff_t width = array->at.width;
    return position(&array->at, touched / width) * width + touched % width;
}

/* Whether a touched entry is in the same block as the one before it. */
static int shares_block(const fo_array *array, ptrdiff_t touched)
{
    return place_of(array, touched) / FO_GROUP_ENTRIES == place_of(array, touched - 1) / FO_GROUP_ENTRIES;
}

ptrdiff_t fo_first_touched(const fo_array *array, ptrdiff_t position)
{
    const ptrdiff_t n = array->at.n * array->at.width;
    ptrdiff_t touched = position * array->at.width;
    while (has_blocks(array) && touched > 0 && touched < n && shares_block(array, touched))
        ++touched;
    return touched;
}

/* How many of the touched entries [lo, hi) go into one view: whole rows, and whole blocks as far as they are touched.
 */
static ptrdiff_t entries_at_once(const fo_array *array, int by_rows, ptrdiff_t lo, ptrdiff_t hi)
{
    ptrdiff_t n = by_rows ? FO_VIEW_ENTRIES / array->row_width * array->row_width : FO_VIEW_ENTRIES;
    if (hi - lo <= n)
        return hi - lo;
    while (has_blocks(array) && shares_block(array, lo + n))
        --n;
    return n;
}

static void list_places(const fo_array *array, ptrdiff_t lo, ptrdiff_t n, fo_gathered_entries *room)
{
    const ptrdiff_t width = array->at.width;
    for (ptrdiff_t k = lo / width, i = 0, j = lo % width; i < n; ++k, j = 0)
        for (const ptrdiff_t start = position(&array->at, k) * width; j < width && i < n; ++j)
            room->at[i++] = start + j;
    for (ptrdiff_t i = 0; i * array->row_width < n; ++i)
        room->rows[i] = room->at[i * array->row_width] / array->row_width;
}

fo_array fo_gather_entries(const fo_rule *rule, const fo_array *array, ptrdiff_t lo, ptrdiff_t hi,
                           fo_gathered_entries *room, ptrdiff_t *n)
{
    const storage_kernels *kernels = FO_KERNELS(array->dtype);
    fo_array view = *array;
    *n = entries_at_once(array, rule->by_rows, lo, hi);
    list_places(array, lo, *n, room);
    view.layout = FO_DENSE;
    view.grad_strides.ndim = 0;   /* those of the last dense gradient are still there */
    view.size = *n;
    view.reduced = NULL;
    view.grad = (const char *)array->grad + lo * (ptrdiff_t)fo_itemsize(array->dtype);
    view.param = room->param;
    kernels->gather(array->param, room->at, *n, room->param);
    for (int k = 0; rule->slots[k].name; ++k) {
        const int per_row = rule->slots[k].per == FO_PER_ROW;
        void *slot = room->scratch.slots[k];
        if (is_reduced(array, k))
            codec_of(array, k)->decode_at(&array->reduced->codes[k], room->at, *n, slot);
        else if (array->state[k] && (per_row || rule->slots[k].per == FO_PER_ENTRY))
            kernels->gather(array->state[k], per_row ? room->rows : room->at, per_row ? *n / array->row_width : *n,
                            slot);
        else
            continue;
        view.state[k] = slot;
    }
    return view;
}

void fo_scatter_entries(const fo_rule *rule, const fo_array *array, const fo_array *view, ptrdiff_t n, int64_t t,
                        const fo_gathered_entries *room)
{
    const storage_kernels *kernels = FO_KERNELS(array->dtype);
    kernels->scatter(view->param, room->at, n, array->param);
    for (int k = 0; rule->slots[k].name; ++k) {
        const int per_row = rule->slots[k].per == FO_PER_ROW;
        if (is_reduced(array, k)) {
            const fo_noise noise = fo_noise_of(array->reduced, k, t);
            codec_of(array, k)->encode_at(&array->reduced->codes[k], room->at, n, view->state[k], &noise);
        } else if (view->state[k] != array->state[k] && !rule->slots[k].kept)
            kernels->scatter(view->state[k], per_row ? room->rows : room->at, per_row ? n / array->row_width : n,
                             array->state[k]);
    }
}
