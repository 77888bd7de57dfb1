/* storage_tmpl.h -- the codes of every storage and back, for one instruction set and dtype of the parameter: of
 * consecutive entries, and of entries at any places. */

FO_INLINE uint32_t FN(bits)(real value)
{
    const float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    return bits;
}

FO_INLINE real FN(value)(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return (real)value;
}

/* --- float32 ---------------------------------------------------------------------------------------------------- */

static void FN(float32_decode)(const fo_codes *codes, ptrdiff_t first, ptrdiff_t n, void *to)
{
    const float *FO_RESTRICT from = (const float *)codes->memory + first;
    real *FO_RESTRICT values = to;
    FO_SIMD
    for (ptrdiff_t i = 0; i < n; ++i)
        values[i] = (real)from[i];
}

static void FN(float32_encode)(const fo_codes *codes, ptrdiff_t first, ptrdiff_t n, const void *from,
                               const fo_noise *noise)
{
    const real *FO_RESTRICT values = from;
    float *FO_RESTRICT to = (float *)codes->memory + first;
    (void)noise;
    FO_SIMD
    for (ptrdiff_t i = 0; i < n; ++i)
        to[i] = (float)values[i];
}

static void FN(float32_decode_at)(const fo_codes *codes, const ptrdiff_t *at, ptrdiff_t n, void *to)
{
    const float *from = codes->memory;
    real *values = to;
    for (ptrdiff_t i = 0; i < n; ++i)
        values[i] = (real)from[at[i]];
}

static void FN(float32_encode_at)(const fo_codes *codes, const ptrdiff_t *at, ptrdiff_t n, const void *from,
                                  const fo_noise *noise)
{
    const real *values = from;
    float *to = codes->memory;
    (void)noise;
    for (ptrdiff_t i = 0; i < n; ++i)
        to[at[i]] = (float)values[i];
}

/* --- bfloat16 --------------------------------------------------------------------------------------------------- */

FO_INLINE uint16_t FN(bfloat16)(real value, uint32_t random)
{
    const uint32_t bits = FN(bits)(value), size = bits & 0x7fffffff;
    const uint32_t up = size >= BFLOAT16_LARGEST ? 0 : random >> 16;   /* what is finite stays so */
    const uint32_t quiet = size > FLOAT32_INFINITY ? FLOAT32_QUIET : 0;
    return (uint16_t)(((bits + up) | quiet) >> 16);
}

static void FN(bfloat16_decode)(const fo_codes *codes, ptrdiff_t first, ptrdiff_t n, void *to)
{
    const uint16_t *FO_RESTRICT from = (const uint16_t *)codes->memory + first;
    real *FO_RESTRICT values = to;
    FO_SIMD
    for (ptrdiff_t i = 0; i < n; ++i)
        values[i] = FN(value)((uint32_t)from[i] << 16);
}

/* Of one group. Large numbers, infinities and NaN, which are rare, are seen to afterwards. */
FO_INLINE void FN(bfloat16_group)(const real *FO_RESTRICT values, ptrdiff_t n, uint32_t random,
                                  uint16_t *FO_RESTRICT to)
{
    uint32_t word = random, largest = 0;
    FO_SIMD_MAX(largest)
    for (ptrdiff_t i = 0; i < n; ++i) {
        const uint32_t bits = FN(bits)(values[i]), twice = bits << 1;
        to[i] = (uint16_t)((bits + (word >> 16)) >> 16);
        largest = twice > largest ? twice : largest;
        word += WEYL;
    }
    for (ptrdiff_t i = 0; largest >= BFLOAT16_LARGEST << 1 && i < n; ++i)
        to[i] = FN(bfloat16)(values[i], random + (uint32_t)i * WEYL);
}

static void FN(bfloat16_encode)(const fo_codes *codes, ptrdiff_t first, ptrdiff_t n, const void *from,
                                const fo_noise *noise)
{
    const real *values = from;
    for (ptrdiff_t at = first, count; at < first + n; at += count, values += count) {
        count = left_in_group(noise, at, first + n - at);
        FN(bfloat16_group)(values, count, random_bits_at(noise, at), (uint16_t *)codes->memory + at);
    }
}

static void FN(bfloat16_decode_at)(const fo_codes *codes, const ptrdiff_t *at, ptrdiff_t n, void *to)
{
    const uint16_t *from = codes->memory;
    real *values = to;
    for (ptrdiff_t i = 0; i < n; ++i)
        values[i] = FN(value)((uint32_t)from[at[i]] << 16);
}

static void FN(bfloat16_encode_at)(const fo_codes *codes, const ptrdiff_t *at, ptrdiff_t n, const void *from,
                                   const fo_noise *noise)
{
    const real *values = from;
    uint16_t *to = codes->memory;
    for (ptrdiff_t i = 0; i < n; ++i)
        to[at[i]] = FN(bfloat16)(values[i], random_bits_at(noise, at[i]));
}

/* --- log8 ------------------------------------------------------------------------------------------------------- */

/* The upper 12 bits of a float32, rounded up or down; less than zero counts as zero. Beyond the finite ones are those
 * of infinity and NaN. */
FO_INLINE uint16_t FN(logarithm)(real value, uint32_t random)
{
    const uint32_t bits = FN(bits)(value), size = bits & 0x7fffffff, rounded = (size + (random >> 12)) >> 20;
    if (size >= FLOAT32_INFINITY)
        return size > FLOAT32_INFINITY ? LOGARITHM_NAN : LOGARITHM_INFINITY;
    if (bits != size)
        return 0;
    return (uint16_t)(rounded < LOGARITHM_INFINITY ? rounded : LOGARITHM_INFINITY - 1);
}

/* The codes of the n entries of a block of which all are finite, with the largest logarithm among them; its offset. */
FO_INLINE uint16_t FN(log8_pack)(const uint16_t *FO_RESTRICT logarithm, ptrdiff_t n, uint32_t largest,
                                 uint8_t *FO_RESTRICT to)
{
    const uint16_t offset = (uint16_t)(largest > LOG8_LARGEST ? largest - LOG8_LARGEST : 0);
    FO_SIMD
    for (ptrdiff_t i = 0; i < n; ++i) {
        const uint16_t here = logarithm[i], positive = here < 1 ? here : 1;
        const uint16_t code = (uint16_t)(here > offset ? here - offset : 0);
        to[i] = (uint8_t)(code > positive ? code : positive);
    }
    return offset;
}

/* The same where some need not be finite. */
static uint16_t FN(log8_pack_any)(uint16_t *logarithm, ptrdiff_t n, uint8_t *to)
{
    uint32_t largest = 0;
    int special = 0;
    for (ptrdiff_t i = 0; i < n; ++i) {
        const int finite = logarithm[i] < LOGARITHM_INFINITY;
        largest = finite && logarithm[i] > largest ? logarithm[i] : largest;
        special |= !finite;
    }
    const uint16_t offset = FN(log8_pack)(logarithm, n, largest, to);
    if (!special)
        return offset;
    for (ptrdiff_t i = 0; i < n; ++i)
        if (logarithm[i] >= LOGARITHM_INFINITY)
            to[i] = logarithm[i] == LOGARITHM_NAN ? LOG8_NAN : LOG8_INFINITY;
    return offset | LOG8_HAS_SPECIAL;
}

FO_INLINE uint32_t FN(log8_bits)(uint8_t code, uint32_t offset)
{
    const uint32_t finite = code == 0 ? 0 : (code + (offset & ~LOG8_HAS_SPECIAL)) << 20;
    if (!(offset & LOG8_HAS_SPECIAL) || code <= LOG8_LARGEST)
        return finite;
    return code == LOG8_NAN ? FLOAT32_INFINITY | FLOAT32_QUIET : FLOAT32_INFINITY;
}

static void FN(log8_decode)(const fo_codes *codes, ptrdiff_t first, ptrdiff_t n, void *to)
{
    real *FO_RESTRICT values = to;
    for (ptrdiff_t at = first, count; at < first + n; at += count, values += count) {
        const ptrdiff_t block = at / FO_LOG8_ENTRIES, end = (block + 1) * FO_LOG8_ENTRIES;
        const uint8_t *FO_RESTRICT from = (const uint8_t *)codes->memory + at;
        const uint32_t offset = codes->offsets[block];
        count = (end < first + n ? end : first + n) - at;
        if (offset & LOG8_HAS_SPECIAL)
            for (ptrdiff_t i = 0; i < count; ++i)
                values[i] = FN(value)(FN(log8_bits)(from[i], offset));
        else {
            FO_SIMD
            for (ptrdiff_t i = 0; i < count; ++i)
                values[i] = FN(value)(from[i] == 0 ? 0 : (from[i] + offset) << 20);
        }
    }
}

/* One block. */
FO_INLINE void FN(log8_block)(const real *FO_RESTRICT values, ptrdiff_t n, uint32_t random, uint8_t *to,
                              uint16_t *offset)
{
    uint16_t logarithm[FO_LOG8_ENTRIES];
    uint32_t word = random, largest = 0;
    FO_SIMD_MAX(largest)
    for (ptrdiff_t i = 0; i < n; ++i) {
        const uint32_t rounded = FN(bits)(values[i]) + (word >> 12);
        logarithm[i] = (uint16_t)(rounded >> 20);
        largest = rounded > largest ? rounded : largest;
        word += WEYL;
    }
    if (largest < FLOAT32_INFINITY) {
        *offset = FN(log8_pack)(logarithm, n, largest >> 20, to);
        return;
    }
    for (ptrdiff_t i = 0; i < n; ++i)
        logarithm[i] = FN(logarithm)(values[i], random + (uint32_t)i * WEYL);
    *offset = FN(log8_pack_any)(logarithm, n, to);
}

/* Whole blocks, which are whole groups as well. */
static void FN(log8_encode)(const fo_codes *codes, ptrdiff_t first, ptrdiff_t n, const void *from,
                            const fo_noise *noise)
{
    const real *values = from;
    for (ptrdiff_t at = first, count; at < first + n; at += count, values += count) {
        count = left_in_group(noise, at, first + n - at);
        FN(log8_block)(values, count, random_bits_at(noise, at), (uint8_t *)codes->memory + at,
                       codes->offsets + at / FO_LOG8_ENTRIES);
    }
}

static void FN(log8_decode_at)(const fo_codes *codes, const ptrdiff_t *at, ptrdiff_t n, void *to)
{
    const uint8_t *from = codes->memory;
    real *values = to;
    for (ptrdiff_t i = 0; i < n; ++i)
        values[i] = FN(value)(FN(log8_bits)(from[at[i]], codes->offsets[at[i] / FO_LOG8_ENTRIES]));
}

/* Of each block all that is encoded in one step must come at once: entries ascend. */
static void FN(log8_encode_at)(const fo_codes *codes, const ptrdiff_t *at, ptrdiff_t n, const void *from,
                               const fo_noise *noise)
{
    const real *values = from;
    for (ptrdiff_t i = 0; i < n;) {
        const ptrdiff_t block = at[i] / FO_LOG8_ENTRIES, start = block * FO_LOG8_ENTRIES;
        const ptrdiff_t left = codes->size - start, count = left < FO_LOG8_ENTRIES ? left : FO_LOG8_ENTRIES;
        uint8_t *here = (uint8_t *)codes->memory + start;
        uint16_t logarithm[FO_LOG8_ENTRIES];
        for (ptrdiff_t k = 0; k < count; ++k)
            logarithm[k] = logarithm_of_bits(FN(log8_bits)(here[k], codes->offsets[block]));
        for (; i < n && at[i] / FO_LOG8_ENTRIES == block; ++i)
            logarithm[at[i] - start] = FN(logarithm)(values[i], random_bits_at(noise, at[i]));
        codes->offsets[block] = FN(log8_pack_any)(logarithm, count, here);
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
