/* subnormals.h -- the floating-point mode of a thread.
 * A state that decays becomes subnormal after some hundred steps and then costs 100 cycles an operation: subnormals are
 * taken as zero inside kernels, on each worker, and the caller's mode comes back after, and for what calls Python. */
#ifndef FO_SUBNORMALS_H
#define FO_SUBNORMALS_H

#if defined(__SSE__) || defined(_M_X64)
#include <xmmintrin.h>
typedef unsigned int fo_fp_mode;
enum { FO_ZERO_SUBNORMALS = 0x8000 | 0x0040 };   /* flush to zero, denormals are zero */
static inline fo_fp_mode fo_get_fp_mode(void) { return _mm_getcsr(); }
/* All of a mode of another thread, such as its rounding, but for exceptions that are raised: those stay quiet. */
enum { FO_RAISED_FLAGS = 0x003f, FO_QUIET = 0x1f80 };
static inline void fo_adopt_fp_mode(fo_fp_mode mode) { _mm_setcsr((mode & ~(fo_fp_mode)FO_RAISED_FLAGS) | FO_QUIET); }
/* Only the two mode bits: exception flags raised in between stay readable, as after any arithmetic. */
static inline void fo_restore_fp_mode(fo_fp_mode before)
{
    _mm_setcsr((_mm_getcsr() & ~(fo_fp_mode)FO_ZERO_SUBNORMALS) | (before & FO_ZERO_SUBNORMALS));
}
/* All of a mode that this thread is in already, but for the two bits: the flags are those of the moment. */
static inline void fo_set_fp_mode(fo_fp_mode mode) { _mm_setcsr(mode); }
#elif defined(__aarch64__) && defined(__GNUC__)
#include <stdint.h>
typedef uint64_t fo_fp_mode;
static inline fo_fp_mode fo_get_fp_mode(void)
{
    fo_fp_mode mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
static inline void fo_restore_fp_mode(fo_fp_mode before) { __asm__ volatile("msr fpcr, %0" : : "r"(before)); }
static inline void fo_set_fp_mode(fo_fp_mode mode) { fo_restore_fp_mode(mode); }
enum { FO_ZERO_SUBNORMALS = 1 << 24, FO_TRAPS = 0x9f00 };
static inline void fo_adopt_fp_mode(fo_fp_mode mode) { fo_restore_fp_mode(mode & ~(fo_fp_mode)FO_TRAPS); }
#else
typedef int fo_fp_mode;
static inline fo_fp_mode fo_get_fp_mode(void) { return 0; }
static inline void fo_restore_fp_mode(fo_fp_mode before) { (void)before; }
static inline void fo_set_fp_mode(fo_fp_mode mode) { (void)mode; }
static inline void fo_adopt_fp_mode(fo_fp_mode mode) { (void)mode; }
enum { FO_ZERO_SUBNORMALS = 0 };
#endif

/* Returns the mode before. */
static inline fo_fp_mode fo_zero_subnormals(void)
{
    const fo_fp_mode before = fo_get_fp_mode();
    fo_set_fp_mode(before | FO_ZERO_SUBNORMALS);
    return before;
}

#endif
