/* codes_tmpl.h -- numbers from codes and codes of numbers, for entries of one group; for one instruction set and dtype
 * of the parameter. `random` are the random bits of the first entry. */

#if defined(_MSC_VER) && !defined(__clang__)
#define SIMD_MAX(largest)
#else
#define SIMD_MAX(largest) FO_PRAGMA(omp simd reduction(max : largest))
#endif

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

/* To nearest. What is finite stays so. */
FO_INLINE float FN(float32)(real value)
{
    const real size = ABS(value);
    return (float)(size > FLT_MAX && size < INFINITY ? COPYSIGN((real)FLT_MAX, value) : value);
}

FO_INLINE void FN(from_float32)(const float *FO_RESTRICT from, ptrdiff_t n, real *FO_RESTRICT to)
{
    FO_SIMD
    for (ptrdiff_t i = 0; i < n; ++i)
        to[i] = (real)from[i];
}

FO_INLINE void FN(to_float32)(const real *FO_RESTRICT from, ptrdiff_t n, float *FO_RESTRICT to)
{
    FO_SIMD
    for (ptrdiff_t i = 0; i < n; ++i)
        to[i] = FN(float32)(from[i]);
}

/* --- bfloat16 --------------------------------------------------------------------------------------------------- */

/* What is finite stays so. Of a NaN the upper half says that it is one, as arithmetic makes them. */
FO_INLINE uint16_t FN(bfloat16)(real value, uint32_t random)
{
    const uint32_t bits = FN(bits)(value);
    const int32_t size = (int32_t)(bits & 0x7fffffff);
    return (uint16_t)((bits + (size < BFLOAT16_LARGEST ? random >> 16 : 0)) >> 16);
}

FO_INLINE void FN(from_bfloat16)(const uint16_t *FO_RESTRICT from, ptrdiff_t n, real *FO_RESTRICT to)
{
    FO_SIMD
    for (ptrdiff_t i = 0; i < n; ++i)
        to[i] = FN(value)((uint32_t)from[i] << 16);
}

FO_INLINE void FN(to_bfloat16)(const real *FO_RESTRICT from, ptrdiff_t n, uint32_t random, uint16_t *FO_RESTRICT to)
{
    FO_SIMD
    for (ptrdiff_t i = 0; i < n; ++i)
        to[i] = FN(bfloat16)(from[i], random + fo_weyl[i]);
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

/* The codes of a group in which all is finite, with the largest logarithm in it; returns its offset. */
FO_INLINE uint16_t FN(pack_log8)(const uint16_t *FO_RESTRICT logarithm, ptrdiff_t n, uint32_t largest,
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

/* The same where something need not be finite. */
static inline uint16_t FN(pack_any_log8)(const uint16_t *logarithm, ptrdiff_t n, uint8_t *to)
{
    uint32_t largest = 0;
    int special = 0;
    for (ptrdiff_t i = 0; i < n; ++i) {
        const int finite = logarithm[i] < LOGARITHM_INFINITY;
        largest = finite && logarithm[i] > largest ? logarithm[i] : largest;
        special |= !finite;
    }
    const uint16_t offset = FN(pack_log8)(logarithm, n, largest, to);
    if (!special)
        return offset;
    for (ptrdiff_t i = 0; i < n; ++i)
        if (logarithm[i] >= LOGARITHM_INFINITY)
            to[i] = logarithm[i] == LOGARITHM_NAN ? LOG8_NAN : LOG8_INFINITY;
    return offset | LOG8_HAS_SPECIAL;
}

FO_INLINE uint32_t FN(bits_of_log8)(uint8_t code, uint32_t offset)
{
    const uint32_t finite = code == 0 ? 0 : (code + (offset & ~(uint32_t)LOG8_HAS_SPECIAL)) << 20;
    if (!(offset & LOG8_HAS_SPECIAL) || code <= LOG8_LARGEST)
        return finite;
    return code == LOG8_NAN ? FLOAT32_INFINITY | FLOAT32_QUIET : FLOAT32_INFINITY;
}

FO_INLINE void FN(from_log8)(const uint8_t *FO_RESTRICT from, uint32_t offset, ptrdiff_t n, real *FO_RESTRICT to)
{
    if (offset & LOG8_HAS_SPECIAL)
        for (ptrdiff_t i = 0; i < n; ++i)
            to[i] = FN(value)(FN(bits_of_log8)(from[i], offset));
    else {
        FO_SIMD
        for (ptrdiff_t i = 0; i < n; ++i)
            to[i] = FN(value)(from[i] == 0 ? 0 : (from[i] + offset) << 20);
    }
}

/* Of a whole group, or of the last entries of an array. */
FO_INLINE void FN(to_log8)(const real *FO_RESTRICT from, ptrdiff_t n, uint32_t random, uint8_t *to, uint16_t *offset)
{
    uint16_t logarithm[FO_GROUP_ENTRIES];
    uint32_t largest = 0;
    SIMD_MAX(largest)
    for (ptrdiff_t i = 0; i < n; ++i) {
        const uint32_t rounded = FN(bits)(from[i]) + ((random + fo_weyl[i]) >> 12);
        logarithm[i] = (uint16_t)(rounded >> 20);
        largest = rounded > largest ? rounded : largest;
    }
    if (largest < FLOAT32_INFINITY) {
        *offset = FN(pack_log8)(logarithm, n, largest >> 20, to);
        return;
    }
    for (ptrdiff_t i = 0; i < n; ++i)    /* less than zero, or not finite */
        logarithm[i] = FN(logarithm)(from[i], random + fo_weyl[i]);
    *offset = FN(pack_any_log8)(logarithm, n, to);
}

#undef SIMD_MAX
