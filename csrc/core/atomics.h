/* atomics.h -- words that several threads read and write, with the compilers' own operations: MSVC has no stdatomic.h
 * for C. A load sees everything that was written before the store, exchange or comparison that it reads from.
 *
 * A peek only sees a whole number: for those that the owner of an optimizer shows while steps are under way. */
#ifndef FO_ATOMICS_H
#define FO_ATOMICS_H

#include <stddef.h>
#include <stdint.h>

#ifdef _MSC_VER
#include <intrin.h>

static inline int fo_load(int *at) { return _InterlockedCompareExchange((volatile long *)at, 0, 0); }
static inline void fo_store(int *at, int value) { _InterlockedExchange((volatile long *)at, value); }
static inline int fo_exchange(int *at, int value) { return _InterlockedExchange((volatile long *)at, value); }
static inline void fo_add(int *at, int value) { _InterlockedExchangeAdd((volatile long *)at, value); }
static inline void fo_add_wide(int64_t *at, int64_t value) { _InterlockedExchangeAdd64((volatile int64_t *)at, value); }

/* Whether *at was as expected, and is the other value now. */
static inline int fo_replace(int *at, int expected, int value)
{
    return _InterlockedCompareExchange((volatile long *)at, value, expected) == expected;
}

static inline void fo_set_bits(int *at, int bits) { _InterlockedOr((volatile long *)at, bits); }
static inline void fo_clear_bits(int *at, int bits) { _InterlockedAnd((volatile long *)at, ~bits); }

static inline void *fo_load_pointer(void **at) { return _InterlockedCompareExchangePointer(at, NULL, NULL); }
static inline int fo_replace_pointer(void **at, void *expected, void *value)
{
    return _InterlockedCompareExchangePointer(at, value, expected) == expected;
}

static inline int fo_peek(const int *at) { return *(const volatile int *)at; }
static inline void fo_show(int *at, int value) { *(volatile int *)at = value; }
static inline int64_t fo_peek_wide(const int64_t *at) { return *(const volatile int64_t *)at; }
static inline void fo_show_wide(int64_t *at, int64_t value) { *(volatile int64_t *)at = value; }
static inline ptrdiff_t fo_peek_size(const ptrdiff_t *at) { return *(const volatile ptrdiff_t *)at; }
static inline void fo_show_size(ptrdiff_t *at, ptrdiff_t value) { *(volatile ptrdiff_t *)at = value; }
static inline double fo_peek_real(const double *at) { return *(const volatile double *)at; }
static inline void fo_show_real(double *at, double value) { *(volatile double *)at = value; }
#else
static inline int fo_load(int *at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
static inline void fo_store(int *at, int value) { __atomic_store_n(at, value, __ATOMIC_RELEASE); }
static inline int fo_exchange(int *at, int value) { return __atomic_exchange_n(at, value, __ATOMIC_ACQ_REL); }
static inline void fo_add(int *at, int value) { (void)__atomic_fetch_add(at, value, __ATOMIC_ACQ_REL); }
static inline void fo_add_wide(int64_t *at, int64_t value) { (void)__atomic_fetch_add(at, value, __ATOMIC_ACQ_REL); }

/* Whether *at was as expected, and is the other value now. */
static inline int fo_replace(int *at, int expected, int value)
{
    return __atomic_compare_exchange_n(at, &expected, value, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static inline void fo_set_bits(int *at, int bits) { (void)__atomic_fetch_or(at, bits, __ATOMIC_ACQ_REL); }
static inline void fo_clear_bits(int *at, int bits) { (void)__atomic_fetch_and(at, ~bits, __ATOMIC_ACQ_REL); }

static inline void *fo_load_pointer(void **at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
static inline int fo_replace_pointer(void **at, void *expected, void *value)
{
    return __atomic_compare_exchange_n(at, &expected, value, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static inline int fo_peek(const int *at) { return __atomic_load_n(at, __ATOMIC_RELAXED); }
static inline void fo_show(int *at, int value) { __atomic_store_n(at, value, __ATOMIC_RELAXED); }
static inline int64_t fo_peek_wide(const int64_t *at) { return __atomic_load_n(at, __ATOMIC_RELAXED); }
static inline void fo_show_wide(int64_t *at, int64_t value) { __atomic_store_n(at, value, __ATOMIC_RELAXED); }
static inline ptrdiff_t fo_peek_size(const ptrdiff_t *at) { return __atomic_load_n(at, __ATOMIC_RELAXED); }
static inline void fo_show_size(ptrdiff_t *at, ptrdiff_t value) { __atomic_store_n(at, value, __ATOMIC_RELAXED); }
static inline double fo_peek_real(const double *at)
{
    double value;
    __atomic_load(at, &value, __ATOMIC_RELAXED);
    return value;
}
static inline void fo_show_real(double *at, double value) { __atomic_store(at, &value, __ATOMIC_RELAXED); }
#endif

#endif
