/* touched_tmpl.h -- the loops over sparse gradients, of rows and of elements: only what a gradient touches is updated.
 * What zero gradients would have done meanwhile is made up for first: see fo_zero_gradient and catch_up.h. */
#include "update/catch_up_tmpl.h"

#define DECAY(slot, options, initial) \
    if (stream.slot) \
        for (ptrdiff_t i = 0; i < count; ++i) \
            stream.slot[i] *= factor;
#define STAGE(slot, options, initial) \
    real slot##_stage[ELEMENTS_STAGED]; stage.state[FO_SLOT_##slot] = all.slot ? slot##_stage : NULL;
#define GATHER(slot, options, initial) if (HAS(options)) staged.slot[k] = all.slot[entry];
#define SCATTER(slot, options, initial) if (HAS(options)) all.slot[entry] = staged.slot[k];
#define PREFETCH_ROW(slot, options, initial) if (HAS(options)) prefetch_row(all.slot + entry, nbytes);
#define PREFETCH_ENTRY(slot, options, initial) if (HAS(options)) prefetch_entry(all.slot + entry);

/* The state of `count` entries, over the zero gradients since it was last brought up to date: see fo_zero_gradient. */
#ifdef ZERO_GRADIENT_FACTOR
FO_INLINE void FN(decay_entries)(FN(streams) stream, ptrdiff_t count, const fo_step *step, int64_t skipped)
{
    coefs exact;
    memcpy(&exact, step->coef, sizeof exact);
    const real factor = (real)power_int(exact.ZERO_GRADIENT_FACTOR, skipped);
    SLOTS(DECAY)
}

/* A function of its own, which rows of every form call. */
static FO_NOINLINE void FN(decay_row)(const FN(streams) *stream, ptrdiff_t width, const fo_step *step, int64_t skipped)
{
    FN(decay_entries)(*stream, width, step, skipped);
}

FO_INLINE void FN(lagged_decay)(FN(streams) stream, ptrdiff_t count, const fo_step *step, int64_t skipped)
{
    if (skipped > 0 && count == 1)
        FN(decay_entries)(stream, 1, step, skipped);
    else if (skipped > 0)
        FN(decay_row)(&stream, count, step, skipped);
}
#else
FO_INLINE void FN(lagged_decay)(FN(streams) stream, ptrdiff_t count, const fo_step *step, int64_t skipped)
{
    (void)stream, (void)count, (void)step, (void)skipped;
}
#endif

/* The last step before this one, as last_step counts. */
FO_INLINE int64_t FN(step_before)(const fo_array *array, const fo_step *step)
{
    return array->history ? fo_present(array->history) : step->t - 1;
}

/* `count` entries that are up to date with step `from` become so with step `to`. */
FO_INLINE void FN(bring_to)(const fo_array *array, FN(streams) stream, ptrdiff_t count, const fo_step *step,
                            int64_t from, int64_t to, fo_rests *rests)
{
    if (!array->history)
        FN(lagged_decay)(stream, count, step, to - from);
    else if (from < to)
        FN(catch_up)(array->history, &stream, count, from, to, rests);
}

/* How many rows from `row` on, in [row, hi), catch up with one call: rows of the same rest, as they do one by one. */
FO_INLINE ptrdiff_t FN(alike)(const fo_array *array, ptrdiff_t row, ptrdiff_t hi)
{
    const FN(streams) all = FN(streams_of)(array);
    const ptrdiff_t width = array->row_width, most = FO_REST_CHUNK / (width > 0 ? width : 1);
    const int faded = FN(has_faded)(FN(advance)(all, row * width, 0), width);
    ptrdiff_t n = 1;
    while (n < most && row + n < hi && array->last_step[row + n] == array->last_step[row]
           && FN(has_faded)(FN(advance)(all, (row + n) * width, 0), width) == faded)
        ++n;
    return n;
}

/* Rows without a history, whose state alone decays. */
static void FN(flush_decay)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi)
{
    const ptrdiff_t width = array->row_width;
    for (ptrdiff_t row = lo; row < hi; ++row) {
        const FN(streams) stream = FN(advance)(FN(streams_of)(array), row * width, 0);
        FN(lagged_decay)(stream, width, step, step->t - array->last_step[row]);
        array->last_step[row] = step->t;
    }
}

static void FN(flush)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi)
{
    const ptrdiff_t width = array->row_width;
    fo_rests rests;
    if (!array->history) {
        FN(flush_decay)(array, step, lo, hi);
        return;
    }
    fo_begin_rests(&rests);
    const int64_t present = fo_present(array->history);
    for (ptrdiff_t row = lo, n; row < hi; row += n) {
        const FN(streams) stream = FN(advance)(FN(streams_of)(array), row * width, 0);
        const int64_t from = array->last_step[row];
        n = FN(alike)(array, row, hi);
        if (from < present)
            FN(catch_up)(array->history, &stream, n * width, from, present, &rests);
        for (ptrdiff_t k = 0; k < n; ++k)
            array->last_step[row + k] = present;
    }
}

/* Rows at distinct positions. */
static void FN(catch_up_rows)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi)
{
    const FN(streams) all = FN(streams_of)(array);
    const ptrdiff_t width = array->row_width, nbytes = width * (ptrdiff_t)sizeof(real);
    const int64_t present = fo_present(array->history);
    const int form = array->history->form;
    fo_rests rests;
    (void)step;
    fo_begin_rests(&rests);
    for (ptrdiff_t k = lo; k < hi; ++k) {
        const ptrdiff_t row = position(&array->at, k);
        if (k + ROWS_AHEAD < hi) {
            const ptrdiff_t entry = position(&array->at, k + ROWS_AHEAD) * width;
            prefetch_row(all.p + entry, nbytes);
            SLOTS(PREFETCH_ROW)
            prefetch_row(array->last_step + position(&array->at, k + ROWS_AHEAD), sizeof(int64_t));
        }
        const FN(streams) stream = FN(advance)(all, row * width, 0);
        const int64_t last = array->last_step[row], from = last < 0 ? ~last : last;
        if (from < present)
            FN(catch_up)(array->history, &stream, width, from, present, &rests);
        array->last_step[row] = present;
    }
}

FO_INLINE void FN(rows)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, const int form)
{
    const FN(coefs) c = FN(round)(step);
    const FN(modifiers) modifiers = FN(modifiers_of)(step);
    const FN(streams) all = FN(streams_of)(array);
    const ptrdiff_t width = array->at.width, nbytes = width * (ptrdiff_t)sizeof(real);
    const int64_t before = FN(step_before)(array, step);
    fo_rests rests;
    if (array->last_step)
        fo_begin_rests(&rests);
    for (ptrdiff_t k = lo; k < hi; ++k) {
        const ptrdiff_t row = position(&array->at, k);
        if (k + ROWS_AHEAD < hi) {
            const ptrdiff_t entry = position(&array->at, k + ROWS_AHEAD) * width;
            prefetch_row(all.p + entry, nbytes);
            ENTRY_SLOTS(PREFETCH_ROW)
            if (array->last_step)
                prefetch_row(array->last_step + position(&array->at, k + ROWS_AHEAD), sizeof(int64_t));
        }
        const FN(streams) stream = FN(advance)(all, row * width, k * width);
        if (array->last_step) {
            FN(bring_to)(array, stream, width, step, array->last_step[row], before, &rests);
            array->last_step[row] = before + 1;
        }
        FN(update_range)(stream, width, &c, &modifiers, NULL, form);
    }
}

/* Entries at random places: gathered into the first-level cache, updated there by the dense kernel of the form, which
 * is called rather than copied, and scattered back. `form` says which slots there are. */
FO_INLINE void FN(elements)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, fo_kernel *dense,
                            const int form)
{
    const FN(streams) all = FN(streams_of)(array);
    const fo_positions positions = array->at;
    volatile ptrdiff_t at[ELEMENTS_STAGED];   /* volatile: no scatter instructions, which take longer than stores */
    real p_stage[ELEMENTS_STAGED];
    fo_array stage = {.dtype = array->dtype, .param = p_stage};
    ENTRY_SLOTS(STAGE)
    const FN(streams) staged = FN(streams_of)(&stage);
    const int64_t before = FN(step_before)(array, step);
    fo_rests rests;
    if (array->last_step)
        fo_begin_rests(&rests);
    for (ptrdiff_t start = lo; start < hi; start += ELEMENTS_STAGED) {
        const int count = hi - start < ELEMENTS_STAGED ? (int)(hi - start) : ELEMENTS_STAGED;
        const ptrdiff_t ahead = start + ELEMENTS_AHEAD, stop = ahead + count < hi ? ahead + count : hi;
        for (ptrdiff_t k = ahead; k < stop; ++k) {
            const ptrdiff_t entry = position(&positions, k);
            prefetch_entry(all.p + entry);
            ENTRY_SLOTS(PREFETCH_ENTRY)
            if (array->last_step)
                prefetch_entry(array->last_step + entry);
        }
        for (int k = 0; k < count; ++k) {
            const ptrdiff_t entry = position(&positions, start + k);
            at[k] = entry;
            staged.p[k] = all.p[entry];
            ENTRY_SLOTS(GATHER)
        }
        if (array->last_step)
            for (int k = 0; k < count; ++k) {
                const FN(streams) stream = FN(advance)(staged, k, 0);
                FN(bring_to)(array, stream, 1, step, array->last_step[at[k]], before, &rests);
                array->last_step[at[k]] = before + 1;
            }
        stage.grad = all.g + start;
        dense(&stage, step, 0, count);
        for (int k = 0; k < count; ++k) {
            const ptrdiff_t entry = at[k];
            all.p[entry] = staged.p[k];
            SLOTS(SCATTER)
        }
    }
}

#undef DECAY
#undef STAGE
#undef GATHER
#undef SCATTER
#undef PREFETCH_ROW
#undef PREFETCH_ENTRY
