/* storage.h -- the storage of state: how a slot lies in memory, and how it becomes a `real` of the rule and back.
 *
 * Rules see every slot in the dtype of its parameter. Of a slot of fewer bits ("reduced") the pointer in fo_array is
 * NULL, and its codes are in fo_reduced. Dense kernels have them in registers (reduced_tmpl.h). All other passes go
 * through views of some entries, whose reduced slots are decoded into scratch memory that stays in the first-level
 * cache, and encoded from there. So this is the one place that knows where an entry of a slot is.
 *
 *   FO_FLOAT32   under float64: to nearest
 *   FO_BFLOAT16  the upper half of a float32
 *   FO_LOG8      8-bit logarithms of numbers that are not negative: 8 codes an octave, relative to the largest of a
 *                group of 256 entries. A code is the upper 12 bits of a float32 less an offset, which the group has in
 *                16 bits behind all codes; so entries whose group gets another offset keep their very values, unless
 *                they are 253 codes and more below its largest: then they are as large as the smallest code.
 *
 * The last two are rounded up or down at random, with the probabilities that make the mean exact: changes far below
 * the distance of codes add up. The random bits are a hash of the seed, the step, the slot and the entry, so that they
 * are the same for any number of threads, layout of the gradient, part of an array and instruction set. Zero, NaN and
 * infinities stay what they are. */
#ifndef FO_STORAGE_H
#define FO_STORAGE_H

#include "fastopt.h"

/* What a pass needs for one view: an array of numbers for each slot. They begin at the same place of a page. If not, a
 * processor would take some loads from one for what was stored into another just before, of whose address it compares
 * the lower 12 bits. */
typedef struct {
    _Alignas(64) double slots[FO_MAX_SLOTS][FO_VIEW_ENTRIES];
} fo_scratch;

/* n entries of an array from an entry on, without a gradient, of which no slot is reduced: they are decoded into the
 * scratch memory. Of an array without reduced slots the view may have any length. */
fo_array fo_load_view(const fo_rule *rule, const fo_array *array, ptrdiff_t entry, ptrdiff_t n, fo_scratch *scratch);
/* Encodes the slots of such a view after step t; 0: before the first one. */
void fo_store_view(const fo_array *array, const fo_array *view, ptrdiff_t n, int64_t t);

/* The entries that a sparse gradient touches, in the order of its values; some of them are copied to where a dense
 * kernel can work on them. */
typedef struct {
    ptrdiff_t at[FO_VIEW_ENTRIES], rows[FO_VIEW_ENTRIES];   /* their places, and those of their rows for `by_rows` */
    _Alignas(64) double param[FO_VIEW_ENTRIES];
    fo_scratch scratch;
} fo_gathered_entries;

/* The first touched entry that a thread sees to which is given the positions from this one on. Entries of a block that
 * have an offset in common are not shared among threads; positions ascend then. */
ptrdiff_t fo_first_touched(const fo_array *array, ptrdiff_t position);
/* A dense view of copies of the touched entries [lo, lo + n) with their gradient, where n is at most hi - lo. */
fo_array fo_gather_entries(const fo_rule *rule, const fo_array *array, ptrdiff_t lo, ptrdiff_t hi,
                           fo_gathered_entries *room, ptrdiff_t *n);
/* Takes such a view back, after step t. */
void fo_scatter_entries(const fo_rule *rule, const fo_array *array, const fo_array *view, ptrdiff_t n, int64_t t,
                        const fo_gathered_entries *room);

#endif
