/* storage_tmpl.h -- the codes of every storage: of consecutive entries, and of entries at any places. */
#include "update/codes_tmpl.h"

/* --- consecutive entries ---------------------------------------------------------------------------------------- */

static void FN(float32_decode)(const fo_codes *codes, ptrdiff_t first, ptrdiff_t n, void *to)
{
    FN(from_float32)((const float *)codes->memory + first, n, to);
}

static void FN(float32_encode)(const fo_codes *codes, ptrdiff_t first, ptrdiff_t n, const void *from,
                               const fo_noise *noise)
{
    (void)noise;
    FN(to_float32)(from, n, (float *)codes->memory + first);
}

static void FN(bfloat16_decode)(const fo_codes *codes, ptrdiff_t first, ptrdiff_t n, void *to)
{
    FN(from_bfloat16)((const uint16_t *)codes->memory + first, n, to);
}

static void FN(bfloat16_encode)(const fo_codes *codes, ptrdiff_t first, ptrdiff_t n, const void *from,
                                const fo_noise *noise)
{
    const real *values = from;
    for (ptrdiff_t at = first, count; at < first + n; at += count, values += count) {
        count = fo_left_in_group(noise->origin, at, first + n - at);
        FN(to_bfloat16)(values, count, fo_random_bits(noise, at), (uint16_t *)codes->memory + at);
    }
}

static void FN(log8_decode)(const fo_codes *codes, ptrdiff_t first, ptrdiff_t n, void *to)
{
    real *values = to;
    for (ptrdiff_t at = first, count; at < first + n; at += count, values += count) {
        count = fo_left_in_group(0, at, first + n - at);
        FN(from_log8)((const uint8_t *)codes->memory + at, codes->offsets[at / FO_GROUP_ENTRIES], count, values);
    }
}

static void FN(log8_encode)(const fo_codes *codes, ptrdiff_t first, ptrdiff_t n, const void *from,
                            const fo_noise *noise)
{
    const real *values = from;
    for (ptrdiff_t at = first, count; at < first + n; at += count, values += count) {
        count = fo_left_in_group(0, at, first + n - at);
        FN(to_log8)(values, count, fo_random_bits(noise, at), (uint8_t *)codes->memory + at,
                    codes->offsets + at / FO_GROUP_ENTRIES);
    }
}

/* --- entries at any places -------------------------------------------------------------------------------------- */

static void FN(float32_decode_at)(const fo_codes *codes, const ptrdiff_t *at, ptrdiff_t n, void *to)
{
    for (ptrdiff_t i = 0; i < n; ++i)
        ((real *)to)[i] = (real)((const float *)codes->memory)[at[i]];
}

static void FN(float32_encode_at)(const fo_codes *codes, const ptrdiff_t *at, ptrdiff_t n, const void *from,
                                  const fo_noise *noise)
{
    (void)noise;
    for (ptrdiff_t i = 0; i < n; ++i)
        ((float *)codes->memory)[at[i]] = FN(float32)(((const real *)from)[i]);
}

static void FN(bfloat16_decode_at)(const fo_codes *codes, const ptrdiff_t *at, ptrdiff_t n, void *to)
{
    for (ptrdiff_t i = 0; i < n; ++i)
        ((real *)to)[i] = FN(value)((uint32_t)((const uint16_t *)codes->memory)[at[i]] << 16);
}

static void FN(bfloat16_encode_at)(const fo_codes *codes, const ptrdiff_t *at, ptrdiff_t n, const void *from,
                                   const fo_noise *noise)
{
    for (ptrdiff_t i = 0; i < n; ++i)
        ((uint16_t *)codes->memory)[at[i]] = FN(bfloat16)(((const real *)from)[i], fo_random_bits(noise, at[i]));
}

static void FN(log8_decode_at)(const fo_codes *codes, const ptrdiff_t *at, ptrdiff_t n, void *to)
{
    const uint8_t *from = codes->memory;
    for (ptrdiff_t i = 0; i < n; ++i)
        ((real *)to)[i] = FN(value)(FN(bits_of_log8)(from[at[i]], codes->offsets[at[i] / FO_GROUP_ENTRIES]));
}

/* That of a number that has a code, so that nothing is to be rounded. */
FO_INLINE uint16_t FN(logarithm_of_code)(uint8_t code, uint32_t offset)
{
    const uint32_t bits = FN(bits_of_log8)(code, offset);
    return (uint16_t)(bits > FLOAT32_INFINITY ? LOGARITHM_NAN : bits >> 20);
}

/* Of each group all that is encoded in one step must come at once: entries ascend. */
static void FN(log8_encode_at)(const fo_codes *codes, const ptrdiff_t *at, ptrdiff_t n, const void *from,
                               const fo_noise *noise)
{
    for (ptrdiff_t i = 0; i < n;) {
        const ptrdiff_t group = at[i] / FO_GROUP_ENTRIES, start = group * FO_GROUP_ENTRIES;
        const ptrdiff_t count = fo_left_in_group(0, start, codes->size - start);
        uint8_t *here = (uint8_t *)codes->memory + start;
        uint16_t logarithm[FO_GROUP_ENTRIES];
        for (ptrdiff_t k = 0; k < count; ++k)
            logarithm[k] = FN(logarithm_of_code)(here[k], codes->offsets[group]);
        for (; i < n && at[i] / FO_GROUP_ENTRIES == group; ++i)
            logarithm[at[i] - start] = FN(logarithm)(((const real *)from)[i], fo_random_bits(noise, at[i]));
        codes->offsets[group] = FN(pack_any_log8)(logarithm, count, here);
    }
}

/* --- slots as they are ------------------------------------------------------------------------------------------ */

static void FN(gather)(const void *from, const ptrdiff_t *at, ptrdiff_t n, void *to)
{
    for (ptrdiff_t i = 0; i < n; ++i)
        ((real *)to)[i] = ((const real *)from)[at[i]];
}

static void FN(scatter)(const void *from, const ptrdiff_t *at, ptrdiff_t n, void *to)
{
    for (ptrdiff_t i = 0; i < n; ++i)
        ((real *)to)[at[i]] = ((const real *)from)[i];
}

#define CODEC(name) {FN(name##_decode), FN(name##_encode), FN(name##_decode_at), FN(name##_encode_at)}
static const storage_kernels FN(kernels) = {
    {[FO_FLOAT32] = CODEC(float32), [FO_BFLOAT16] = CODEC(bfloat16), [FO_LOG8] = CODEC(log8)},
    FN(gather),
    FN(scatter),
};
#undef CODEC
