/* bandwidth_tmpl.h -- the pass of the bandwidth gauge for each number of streams; no threads here. */

FO_INLINE void FN(pass)(const uint64_t *FO_RESTRICT g, uint64_t *const *readwrite, ptrdiff_t lo, ptrdiff_t hi,
                        const int n)
{
    uint64_t *stream[FO_MAX_STREAMS];       /* registers, not memory that the stores might alias */
    for (int k = 0; k < n; ++k)
        stream[k] = readwrite[k];
    FO_SIMD
    for (ptrdiff_t i = lo; i < hi; ++i)
        for (int k = 0; k < n; ++k)
            stream[k][i] ^= g[i];
}

#define PASS(n) \
    static void FN(pass_##n)(const uint64_t *g, uint64_t *const *readwrite, ptrdiff_t lo, ptrdiff_t hi) \
    { FN(pass)(g, readwrite, lo, hi, n); }
#define PASS_NAME(n) FN(pass_##n),
EACH_STREAM_COUNT(PASS)

static const bandwidth_kernels FN(kernels) = {{EACH_STREAM_COUNT(PASS_NAME)}};

#undef PASS
#undef PASS_NAME
