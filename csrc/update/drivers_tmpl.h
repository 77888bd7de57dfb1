/* drivers_tmpl.h -- the kernels of a rule for one instruction set and dtype, from its update of one entry; no threads
 * here.
 *
 * Included once per (instruction set, dtype) of a rule. It gives the rule its `coefs` rounded to `real`, includes the
 * rule's update, and wraps it into kernels: FN(dense_k) and FN(rows_k) for each form k, FN(elements_k) for its options,
 * FN(initialise), FN(flush) and FN(catch_up_rows). All three layouts run one loop, FN(update_range), over consecutive
 * entries. `form` is a constant where it is k, so that absent slots and unused options cost nothing.
 *
 * A rule with sums says for each entry which products they are of: in measure() those before the step, in update()
 * those during it. The loops add them, LANES entries at a time, so that sums lie side by side in registers. A rule with
 * sums over lines of matrices has other kernels: see lines_tmpl.h. One that makes directions orthogonal has more of
 * them: see orthogonal_tmpl.h. */
#include "update/codes_tmpl.h"
#include "update/products_tmpl.h"
#include "update/streams_tmpl.h"
#include "update/sums_tmpl.h"
#include RULE_FILE            /* FN(update), which takes FN(coefs); with sums FN(measure), and FN(adjust_row) */

/* A sum during the step takes its entries in the order of one pass, not in that of views. */
#define DECODES (FO_PASTE(FO_DECODES_, ISA) || N_DURING > 0)
#define HAS(options) ((form & (options)) == (options))
#define STORED(slot, asked) fo_storage_for(asked, content[FO_SLOT_##slot])   /* a constant where `asked` is one */
#define BIND(slot, options, initial) \
    real *FO_RESTRICT slot##_ = stream.slot; \
    (void)slot##_;
#define BIND_CODES(slot, options, initial) \
    float *FO_RESTRICT slot##_32 = asked == FO_FLOAT32 ? group->slot##_codes : NULL; \
    uint16_t *FO_RESTRICT slot##_16 = asked == FO_BFLOAT16 || asked == FO_LOG8 ? group->slot##_codes : NULL; \
    const uint32_t slot##_random = asked == FO_AS_PARAMETER ? 0 : group->slot##_random; \
    (void)slot##_32, (void)slot##_16, (void)slot##_random;
#define LOAD(slot, options, initial) real slot = HAS(options) ? slot##_[i] : 0; (void)slot;
#define LOAD_CODED(slot, options, initial) \
    real slot = !HAS(options) ? 0 \
              : STORED(slot, asked) == FO_FLOAT32 ? (real)slot##_32[i] \
              : STORED(slot, asked) == FO_BFLOAT16 ? FN(value)((uint32_t)slot##_16[i] << 16) : slot##_[i]; \
    (void)slot;
#define SAVE(slot, options, initial) if (HAS(options)) slot##_[i] = slot;
#define SAVE_CODED(slot, options, initial) \
    if (HAS(options) && STORED(slot, asked) == FO_FLOAT32) \
        slot##_32[i] = FN(float32)(slot); \
    else if (HAS(options) && STORED(slot, asked) == FO_BFLOAT16) \
        slot##_16[i] = FN(bfloat16)(slot, slot##_random + fo_weyl[i]); \
    else if (HAS(options)) \
        slot##_[i] = slot;
#define GROUP_FIELD(slot, options, initial) void *slot##_codes; uint32_t slot##_random;
#define START(slot, options, initial) if (stream.slot) stream.slot[i] = (real)(initial);
#define START_ROWS(slot, options, initial) \
    if (array->state[FO_SLOT_##slot]) \
        for (ptrdiff_t row = (lo + array->row_width - 1) / array->row_width; row * array->row_width < hi; ++row) \
            ((real *)array->state[FO_SLOT_##slot])[row] = (real)(initial);
#define START_ARRAY(slot, options, initial) \
    if (array->state[FO_SLOT_##slot] && lo == 0) \
        *(double *)array->state[FO_SLOT_##slot] = (double)(initial);
#define ARGUMENT(slot, options, initial) , &slot
#define VALUE(slot, options, initial) , slot
#define COLUMN_VALUE(slot) , stream.slot[i]
#define ADD_DURING(name, when, over) FO_DURING(when, over, ADD_PRODUCT(name, k))

#if N_BEFORE + N_ROW_SUMS > 0
#include "update/measure_tmpl.h"
#endif

/* Where the codes of a group of entries begin, and the random bits of the first. */
typedef struct {
    SLOTS(GROUP_FIELD) char end;
} FN(group);

/* The update of the entries [first, first + count); the first one is in lane 0 of what is summed of them. `group` has
 * those slots that are reduced, as `asked` for; it may be NULL without any. */
FO_INLINE void FN(update_entries)(FN(streams) stream, ptrdiff_t first, ptrdiff_t count, const FN(coefs) *c,
                                  const FN(modifiers) *modifiers, FN(lanes) *lanes, const FN(group) *group,
                                  const fo_storage asked, const int form)
{
    real *FO_RESTRICT p_ = stream.p;
    const real *FO_RESTRICT g_ = stream.g;
    const FN(coefs) coefs_here = *c;     /* registers, not memory that the stores might alias */
    ENTRY_SLOTS(BIND)
    SLOTS(BIND_CODES)
    (void)lanes, (void)group, (void)asked;
    FO_SIMD
    for (ptrdiff_t k = 0; k < count; ++k) {
        const ptrdiff_t i = first + k;
        real p = p_[i], g = g_[i];
        FN(factors) factors;
        (void)factors;
        SLOTS(LOAD_CODED)
        KEPT(LOAD)
        if (form & FO_MODIFIED)
            g = FN(modify)(&p, g, modifiers);
        FN(update)(&p, g SLOTS(ARGUMENT) KEPT(VALUE) MATRIX_COLUMN_SLOTS(COLUMN_VALUE) FACTORS_ARGUMENT, &coefs_here,
                   form);
        p_[i] = p;
        SLOTS(SAVE_CODED)
        SUMS(ADD_DURING)
    }
}

/* The update of `count` consecutive entries; `lanes` are of the sums during it, and may be NULL without any. */
FO_INLINE void FN(update_group)(FN(streams) stream, ptrdiff_t count, const FN(coefs) *c, const FN(modifiers) *modifiers,
                                FN(lanes) *lanes, const FN(group) *group, const fo_storage asked, const int form)
{
    ptrdiff_t i = 0;
    for (; N_DURING > 0 && i + LANES <= count; i += LANES)
        FN(update_entries)(stream, i, LANES, c, modifiers, lanes, group, asked, form);
    FN(update_entries)(stream, i, count - i, c, modifiers, lanes, group, asked, form);
}

/* The same where no slot is reduced. */
FO_INLINE void FN(update_range)(FN(streams) stream, ptrdiff_t count, const FN(coefs) *c, const FN(modifiers) *modifiers,
                                FN(lanes) *lanes, const int form)
{
    FN(update_group)(stream, count, c, modifiers, lanes, NULL, FO_AS_PARAMETER, form);
}

static void FN(initialise)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi)
{
    const FN(coefs) rounded = FN(round)(step), *c = &rounded;
    const FN(streams) stream = FN(streams_of)(array);
    (void)c;
    for (ptrdiff_t i = lo; i < hi; ++i) {
        const real p = stream.p[i];
        (void)p;
        ENTRY_SLOTS(START)
    }
    ROW_SLOTS(START_ROWS)
    ARRAY_SLOTS(START_ARRAY)
}

#if BY_LINES
#include "update/lines_tmpl.h"
static const fo_rule_kernels FN(kernels) = {.initialise = FN(initialise), .lines = &FN(line_kernels)};
#else
#if BY_ROWS
#include "update/whole_rows_tmpl.h"
#define DENSE_LOOP FN(rows)
#define FLUSH NULL, NULL, 0, NULL, NULL
#define STAGED NULL
#else
#include "update/reduced_tmpl.h"
#if !COUPLES
#include "update/touched_tmpl.h"
#define FLUSH FN(flush), FN(catch_up_rows), PAST_BYTES, REMEMBER, REST_MAP
#define STAGED FN(elements_forms)
#define ELEMENTS_KERNELS(k) \
    static void FN(elements_##k)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, \
                                 fo_kernel *dense) \
    { FN(elements)(array, step, lo, hi, dense, k); }
#define ELEMENTS(k) FN(elements_##k),
FO_OPTION_FORMS(ELEMENTS_KERNELS)
static fo_staging_kernel *const FN(elements_forms)[] = {FO_OPTION_FORMS(ELEMENTS)};
#else
#define FLUSH NULL, NULL, 0, NULL, NULL
#endif
#define DENSE_LOOP FN(dense)

FO_INLINE void FN(dense_range)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, FN(lanes) *lanes,
                               const int form)
{
    const FN(coefs) c = FN(round)(step);
    const FN(modifiers) modifiers = FN(modifiers_of)(step);
    if (DECODES && (0 SLOTS(COUNT_CODED)) > 0 && array->reduced)
        FN(dense_reduced)(array, step, lo, hi, lanes, form);
    else
        FN(update_range)(FN(advance)(FN(streams_of)(array), lo, lo), hi - lo, &c, &modifiers, lanes, form);
}

FO_INLINE void FN(dense)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, const int form)
{
#if N_DURING > 0
    FN(lanes) lanes = {0};
    FN(load_lanes)(&lanes, step->lanes, FO_WHEN_during);
    FN(dense_range)(array, step, lo, hi, &lanes, form);
    FN(save_lanes)(&lanes, step->lanes, FO_WHEN_during);
#else
    FN(dense_range)(array, step, lo, hi, NULL, form);
#endif
}
#endif

#if ORTHOGONALISES
#include "update/orthogonal_tmpl.h"
#define ORTHOGONAL_KERNELS &FN(orthogonal_kernels)
#else
#define ORTHOGONAL_KERNELS NULL
#endif

#define KERNELS(k) \
    static void FN(dense_##k)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi) \
    { DENSE_LOOP(array, step, lo, hi, k); }
#define ROWS_KERNELS(k) \
    static void FN(rows_##k)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi) \
    { FN(rows)(array, step, lo, hi, k); }
#define DENSE(k) FN(dense_##k),
#define ROWS(k) FN(rows_##k),
FO_FORMS(KERNELS)
static fo_kernel *const FN(dense_forms)[] = {FO_FORMS(DENSE)};
#if !COUPLES
FO_FORMS(ROWS_KERNELS)
static fo_kernel *const FN(rows_forms)[] = {FO_FORMS(ROWS)};
#define TOUCHED FN(rows_forms), STAGED
#else
#define TOUCHED NULL, NULL
#endif
#if N_BEFORE > 0
#define MEASURE_FORMS FN(measure_forms)
#else
#define MEASURE_FORMS NULL
#endif
static const fo_rule_kernels FN(kernels) = {
    FN(initialise), FLUSH, FN(dense_forms), TOUCHED, MEASURE_FORMS, NULL, ORTHOGONAL_KERNELS,
};
#endif

#undef DECODES
#undef HAS
#undef BIND
#undef LOAD
#undef SAVE
#undef START
#undef START_ROWS
#undef START_ARRAY
#undef ARGUMENT
#undef VALUE
#undef COLUMN_VALUE
#undef CODED
#undef COUNT_CODED
#undef STORED
#undef BIND_CODES
#undef LOAD_CODED
#undef SAVE_CODED
#undef GROUP_FIELD
#undef ADD_DURING
#undef ADD_PRODUCT
#undef FACTORS_ARGUMENT
#undef MEASURE_FORMS
#undef ORTHOGONAL_KERNELS
#undef DENSE_LOOP
#undef STAGED
#undef FLUSH
#undef KERNELS
#undef ROWS_KERNELS
#undef TOUCHED
#undef PAST_BYTES
#undef REMEMBER
#undef REST_MAP
#undef DENSE
#undef ROWS
#undef ELEMENTS_KERNELS
#undef ELEMENTS
