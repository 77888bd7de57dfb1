/* reduced_tmpl.h -- the dense pass over an array with reduced slots. Numbers are made from codes in registers, next to
 * the arithmetic of the rule, and codes from numbers, a group of entries after the other. A group of 8-bit logarithms
 * has an offset in common, so its numbers wait for each other in memory of this function. */

#define CODED(slot, options) (content[FO_SLOT_##slot] != FO_WHOLE && HAS(options))
#define COUNT_CODED(slot, options, initial) +CODED(slot, options)
#define COUNT_LOG8(slot, options, initial) +(HAS(options) && STORED(slot, FO_LOG8) == FO_LOG8)
#define NOISE(slot, options, initial) const fo_noise slot##_noise = fo_noise_of(reduced, FO_SLOT_##slot, step->t);
#define BEGIN_GROUP(slot, options, initial) \
    _Alignas(64) real slot##_values[FO_GROUP_ENTRIES]; \
    const fo_codes *slot##_all = &reduced->codes[FO_SLOT_##slot]; \
    (void)slot##_values, (void)slot##_all; \
    if (CODED(slot, options)) \
        group.slot##_random = fo_random_bits(&slot##_noise, entry); \
    if (CODED(slot, options) && STORED(slot, asked) == FO_FLOAT32) \
        group.slot##_codes = (float *)slot##_all->memory + entry; \
    if (CODED(slot, options) && STORED(slot, asked) == FO_BFLOAT16) \
        group.slot##_codes = (uint16_t *)slot##_all->memory + entry; \
    if (CODED(slot, options) && STORED(slot, asked) == FO_LOG8) { \
        stream.slot = slot##_values; \
        FN(decode_group)(slot##_all, entry, n, slot##_values); \
    }
#define END_GROUP(slot, options, initial) \
    if (CODED(slot, options) && STORED(slot, asked) == FO_LOG8) \
        FN(encode_group)(slot##_all, entry, n, group.slot##_random, slot##_values);
#define LEAVE(slot, options, initial) \
    if (CODED(slot, options) && STORED(slot, asked) == FO_LOG8) \
        stream.slot = NULL;

/* Functions of their own: a copy in each form and for each slot would be much code. */
static FO_NOINLINE void FN(decode_group)(const fo_codes *codes, ptrdiff_t entry, ptrdiff_t n, real *to)
{
    FN(from_log8)((const uint8_t *)codes->memory + entry, codes->offsets[entry / FO_GROUP_ENTRIES], n, to);
}

static FO_NOINLINE void FN(encode_group)(const fo_codes *codes, ptrdiff_t entry, ptrdiff_t n, uint32_t random,
                                         const real *from)
{
    FN(to_log8)(from, n, random, (uint8_t *)codes->memory + entry, codes->offsets + entry / FO_GROUP_ENTRIES);
}

FO_INLINE void FN(dense_coded)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi, FN(lanes) *lanes,
                               const fo_storage asked, const int form)
{
    const fo_reduced *reduced = array->reduced;
    const FN(coefs) c = FN(round)(step);
    const FN(modifiers) modifiers = FN(modifiers_of)(step);
    FN(streams) stream = FN(advance)(FN(streams_of)(array), lo, lo);
    SLOTS(NOISE)
    for (ptrdiff_t at = lo, n; at < hi; at += n) {
        const ptrdiff_t entry = array->first + at;
        FN(group) group = {0};
        n = fo_left_in_group(reduced->origin, entry, hi - at);
        SLOTS(BEGIN_GROUP)
        FN(update_group)(stream, n, &c, &modifiers, lanes, &group, asked, form);
        SLOTS(END_GROUP)
        SLOTS(LEAVE)
        stream = FN(advance)(stream, n, n);
    }
}

/* Of float64 there is one storage in fewer bits, of float32 there are the others. */
FO_INLINE void FN(dense_reduced)(const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi,
                                 FN(lanes) *lanes, const int form)
{
    if (sizeof(real) == sizeof(double))
        FN(dense_coded)(array, step, lo, hi, lanes, FO_FLOAT32, form);
    else if ((0 SLOTS(COUNT_LOG8)) > 0 && array->reduced->asked == FO_LOG8)
        FN(dense_coded)(array, step, lo, hi, lanes, FO_LOG8, form);
    else
        FN(dense_coded)(array, step, lo, hi, lanes, FO_BFLOAT16, form);
}

#undef COUNT_LOG8
#undef NOISE
#undef BEGIN_GROUP
#undef END_GROUP
#undef LEAVE
