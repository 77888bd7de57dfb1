/* variants.h -- the instruction sets and the dtypes: the only place where either is listed.
 *
 * Without FO_TEMPLATE it gives the two lists. With `#define FO_TEMPLATE "file"` it includes that file, a template
 * (NAME_tmpl.h, or the file of a rule or a loss itself), once per (instruction set, dtype), compiled for that
 * instruction set, with these names set:
 *   real      float or double           SQRT ABS COPYSIGN MAX MIN SIGN    elementwise functions of it
 *   FN(name)  PREFIX_name_DTYPE_ISA, so adam_dense_f32_v3; PREFIX is defined by whoever includes
 * A template ends in FN(kernels), what it has for the rest of csrc; FO_KERNEL_TABLE collects those of all variants and
 * FO_KERNELS(dtype) picks the one in use. Every header must have been included before: inside, code is compiled for a
 * wider machine than the baseline and may only be reached through the table. */
#ifndef FO_VARIANT_LISTS
#define FO_VARIANT_LISTS

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__)) && !defined(FO_BASELINE_ONLY)
#define FO_X86_LEVELS 1
#define FO_FOR_EACH_ISA(X) X(baseline) X(v3) X(v4)
#define FO_FOR_EACH_VARIANT(X) \
    FO_FOR_EACH_DTYPE(X, baseline) FO_FOR_EACH_DTYPE(X, v3) FO_FOR_EACH_DTYPE(X, v4)
#else
#define FO_FOR_EACH_ISA(X) X(baseline)
#define FO_FOR_EACH_VARIANT(X) FO_FOR_EACH_DTYPE(X, baseline)
#endif
#define FO_FOR_EACH_DTYPE(X, isa) X(f32, isa) X(f64, isa)

/* Whether kernels of a level decode reduced slots in registers: their loops for this are half of the code. Where there
 * are other levels, the baseline is for old processors, and has views instead. */
#ifdef FO_X86_LEVELS
#define FO_DECODES_baseline 0
#else
#define FO_DECODES_baseline 1
#endif
#define FO_DECODES_v3 1
#define FO_DECODES_v4 1

#define FO_NUMPY_NAME_f32 "float32"
#define FO_NUMPY_NAME_f64 "float64"
#define FO_REAL_f32 float
#define FO_REAL_f64 double
#define FO_SQRT_f32 __builtin_sqrtf
#define FO_SQRT_f64 __builtin_sqrt
#define FO_ABS_f32 __builtin_fabsf
#define FO_ABS_f64 __builtin_fabs
#define FO_COPYSIGN_f32 __builtin_copysignf
#define FO_COPYSIGN_f64 __builtin_copysign
#if defined(_MSC_VER) && !defined(__clang__)
#include <math.h>
#define __builtin_sqrtf sqrtf
#define __builtin_sqrt sqrt
#define __builtin_fabsf fabsf
#define __builtin_fabs fabs
#define __builtin_copysignf copysignf
#define __builtin_copysign copysign
#define __builtin_inf() ((double)INFINITY)
#define FO_RESTRICT __restrict
#define FO_INLINE static __forceinline
#define FO_NOINLINE __declspec(noinline)
#define FO_SIMD
#else
#define FO_RESTRICT restrict
#define FO_INLINE static inline __attribute__((always_inline))
#define FO_NOINLINE __attribute__((noinline))
#define FO_SIMD _Pragma("omp simd")
#endif

#define FO_STRING_(a) #a
#define FO_STRING(a) FO_STRING_(a)
#define FO_PASTE_(a, b) a##b
#define FO_PASTE(a, b) FO_PASTE_(a, b)
#define FO_SYMBOL_(prefix, name, dtype, isa) prefix##_##name##_##dtype##_##isa
#define FO_SYMBOL(prefix, name, dtype, isa) FO_SYMBOL_(prefix, name, dtype, isa)
#define FN(name) FO_SYMBOL(PREFIX, name, DTYPE, ISA)
#define FO_KERNELS_OF(dtype, isa) &FO_SYMBOL(PREFIX, kernels, dtype, isa),
#define FO_KERNEL_TABLE(type) static type *const kernel_table[] = {FO_FOR_EACH_VARIANT(FO_KERNELS_OF)}
#define FO_KERNELS(dtype) kernel_table[fo_variant_index(dtype)]
#define real FO_PASTE(FO_REAL_, DTYPE)
#define SQRT(x) FO_PASTE(FO_SQRT_, DTYPE)(x)
#define ABS(x) FO_PASTE(FO_ABS_, DTYPE)(x)
#define COPYSIGN(x, y) FO_PASTE(FO_COPYSIGN_, DTYPE)(x, y)
#define MAX(a, b) ((a) > (b) ? (a) : (b))   /* b where either is NaN */
#define MIN(a, b) ((a) < (b) ? (a) : (b))   /* b where either is NaN */
#define SIGN(x) ((x) > 0 ? (real)1 : (x) < 0 ? (real)-1 : (x))   /* zero and NaN as they are */

/* The features of each level: what its code is compiled for (below), and what dispatch.c asks the processor for.
 * Features rather than arch=x86-64-v3: just what every compiler can be asked about, and all that loops of
 * + - * / sqrt can use. */
#define FO_V3_FEATURES(EACH, THEN) EACH("avx2")
#define FO_V4_FEATURES(EACH, THEN) \
    EACH("avx512f") THEN EACH("avx512bw") THEN EACH("avx512cd") THEN EACH("avx512dq") THEN EACH("avx512vl")

#define FO_ITSELF(feature) feature
#define FO_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define FO_TARGET(arch) \
    FO_PRAGMA(clang attribute push(__attribute__((target(arch))), apply_to = function))
#define FO_TARGET_END _Pragma("clang attribute pop")
#else
#define FO_TARGET(arch) _Pragma("GCC push_options") FO_PRAGMA(GCC target(arch))
#define FO_TARGET_END _Pragma("GCC pop_options")
#endif

/* The baseline is compiled for size where there are other levels. It is vectorised all the same. */
#if defined(FO_X86_LEVELS) && !defined(__clang__)
#define FO_BASELINE _Pragma("GCC push_options") _Pragma("GCC optimize(\"Os\")")
#define FO_BASELINE_END _Pragma("GCC pop_options")
#else
#define FO_BASELINE
#define FO_BASELINE_END
#endif
#endif

#ifdef FO_TEMPLATE
#define FO_VARIANT

FO_BASELINE
#define ISA baseline
#define DTYPE f32
#include FO_TEMPLATE
#undef DTYPE
#define DTYPE f64
#include FO_TEMPLATE
#undef DTYPE
#undef ISA
FO_BASELINE_END

#ifdef FO_X86_LEVELS
FO_TARGET(FO_V3_FEATURES(FO_ITSELF, ","))
#define ISA v3
#define DTYPE f32
#include FO_TEMPLATE
#undef DTYPE
#define DTYPE f64
#include FO_TEMPLATE
#undef DTYPE
#undef ISA
FO_TARGET_END

FO_TARGET(FO_V4_FEATURES(FO_ITSELF, ","))
#define ISA v4
#define DTYPE f32
#include FO_TEMPLATE
#undef DTYPE
#define DTYPE f64
#include FO_TEMPLATE
#undef DTYPE
#undef ISA
FO_TARGET_END
#endif

#undef FO_VARIANT
#undef FO_TEMPLATE
#endif
