/* parallel.c -- the only place that knows of threads.
 *
 * Threads are given contiguous shares of a range, the same for the same range and thread count, so that a
 * page is touched first and later by the same worker. Counts go into a `num_threads` clause: the OpenMP
 * runtime's own settings are read, never changed. */
#if defined(__linux__)
#define _GNU_SOURCE
#include <sched.h>
#include <time.h>
#endif
#include <assert.h>
#include <limits.h>
#include "fastopt.h"
#include "core/subnormals.h"

#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#ifdef _MSC_VER
#include <intrin.h>
#define FO_THREAD_LOCAL __declspec(thread)
#else
#define FO_THREAD_LOCAL _Thread_local
#endif

/* Below this much memory per thread a region costs more than it may save: handing work to a waiting thread takes
 * about 2 us, and one core updates 128 KiB of parameters in 5 to 20 us (docs/performance/README.md). */
enum { MIN_BYTES_PER_THREAD = 128 * 1024 };

static void run_share(ptrdiff_t lo, ptrdiff_t hi, fo_task *task, const void *context)
{
    const fo_fp_mode before = fo_zero_subnormals();
    task(context, lo, hi);
    fo_restore_fp_mode(before);
}

#ifdef _OPENMP
/* libgomp's workers do not survive fork(), and a region in the child would wait for them for ever: after a
 * fork the child computes on one thread. */
static int forked = 0;
#if defined(__unix__) || defined(__APPLE__)
static void note_fork(void) { forked = 1; }
static void expect_forks(void) { (void)pthread_atfork(NULL, NULL, note_fork); }
/* No thread passes before the first one is done, so that no worker is there of which a fork would not know. */
static void note_region(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, expect_forks);
}
#else
static void note_region(void) {}
#endif

/* The start of worker k's share of [0, n), without the overflow of n * k. */
static ptrdiff_t share_start(ptrdiff_t n, int k, int n_workers)
{
    return n / n_workers * k + n % n_workers * k / n_workers;
}

/* A worker that has slept may be woken on the core of the caller. Both then spin there in turns of the scheduler,
 * while other cores idle: 7 ms for a pass of 0.3 ms were measured after the caller had slept, 0.8 ms with these
 * two, each of which alone leaves 3 ms. */
#if defined(__linux__)
static int current_core(void) { return sched_getcpu(); }

/* A worker on the caller's core moves to another one; its affinity is the same before and after. */
static void leave_core(int core)
{
    cpu_set_t allowed, others;
    if (sched_getcpu() != core || sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    others = allowed;
    CPU_CLR(core, &others);
    if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof others, &others) == 0)
        (void)sched_setaffinity(0, sizeof allowed, &allowed);
}

/* The caller gives up its core if the workers are not done soon after it. */
static void wait_for(const int *n_done, int n_workers)
{
    enum { SPINS = 100000 };             /* about 50 us */
    const struct timespec a_moment = {0, 1000};
    int done = 0;
    for (int turn = 0; done < n_workers; ++turn) {
        #pragma omp atomic read
        done = *n_done;
        if (turn > SPINS)
            nanosleep(&a_moment, NULL);
    }
}
#else
static int current_core(void) { return -1; }
static void leave_core(int core) { (void)core; }
static void wait_for(const int *n_done, int n_workers)
{
    (void)n_done;
    (void)n_workers;
}
#endif

/* How long the workers of this thread have kept it waiting of late, in seconds: a moving mean. Between steps the
 * caller does other work, the workers fall asleep, and waking a processor may take milliseconds, more than a small
 * pass takes on one. Where that is so, fewer passes are shared, until some time later one is tried again. */
static FO_THREAD_LOCAL double lateness = 0.0;

static void note_lateness(double share, double wait)
{
    enum { SLACK = 4, MEMORY = 50 };      /* shares differ by a quarter anyway; one stall alone is soon forgotten */
    const double late = wait > share / SLACK ? wait : 0.0;
    lateness += (late - lateness) / MEMORY;
}

static int always_share = 0;
void fo_always_share(int flag) { always_share = flag; }

static int most_threads(ptrdiff_t bytes)
{
    const double bytes_per_second = 1e10, forgotten = 0.01;
    if (bytes < 2 * MIN_BYTES_PER_THREAD)
        return 1;
    if (!always_share && (double)bytes < 2 * bytes_per_second * lateness) {
        lateness *= 1.0 - forgotten;
        return 1;
    }
    return bytes / MIN_BYTES_PER_THREAD < INT_MAX ? (int)(bytes / MIN_BYTES_PER_THREAD) : INT_MAX;
}

static void run_on_threads(ptrdiff_t n, int num_threads, fo_task *task, const void *context)
{
    const int core = current_core();
    const double start = omp_get_wtime();
    double own_end = start;
    int n_done = 0;
    note_region();
    #pragma omp parallel num_threads(num_threads)
    {
        const int k = omp_get_thread_num(), n_workers = omp_get_num_threads();
        if (k != 0)
            leave_core(core);
        run_share(share_start(n, k, n_workers), share_start(n, k + 1, n_workers), task, context);
        #pragma omp atomic
        ++n_done;
        if (k == 0) {
            own_end = omp_get_wtime();
            wait_for(&n_done, n_workers);
        }
    }
    note_lateness(own_end - start, omp_get_wtime() - own_end);
}

int fo_has_openmp(void) { return 1; }
int fo_openmp_max_threads(void) { return omp_get_max_threads(); }
#else
int fo_has_openmp(void) { return 0; }
int fo_openmp_max_threads(void) { return 1; }
void fo_always_share(int flag) { (void)flag; }
static int most_threads(ptrdiff_t bytes)
{
    (void)bytes;
    return 1;
}
#endif

void fo_parallel_for(ptrdiff_t n, int num_threads, fo_task *task, const void *context)
{
    assert(n >= 0 && num_threads >= 1);
#ifdef _OPENMP
    if (num_threads > 1 && !forked) {
        run_on_threads(n, num_threads, task, context);
        return;
    }
#endif
    (void)num_threads;
    run_share(0, n, task, context);
}

int fo_useful_threads(ptrdiff_t bytes, int num_threads)
{
    const int most = most_threads(bytes);
    return most < num_threads ? most : num_threads;
}

int fo_try_acquire(int *busy)
{
#ifdef _MSC_VER
    return _InterlockedExchange((long *)busy, 1) == 0;
#else
    return __atomic_exchange_n(busy, 1, __ATOMIC_ACQUIRE) == 0;
#endif
}

void fo_release(int *busy)
{
#ifdef _MSC_VER
    _InterlockedExchange((long *)busy, 0);
#else
    __atomic_store_n(busy, 0, __ATOMIC_RELEASE);
#endif
}
