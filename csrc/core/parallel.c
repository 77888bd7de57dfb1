/* parallel.c -- work shared among threads.
 *
 * Threads are given contiguous shares of a range, the same for the same range and thread count, so that a
 * page is touched first and later by the same worker. */
#include <assert.h>
#include <limits.h>
#include "fastopt.h"
#include "core/atomics.h"
#include "core/subnormals.h"
#include "core/workers.h"

#ifdef _OPENMP
#include <omp.h>
#endif

/* A variable of each thread. The GNU C library would allocate it at its first use, and end the process if there is no
 * memory left; of this model it is there from the thread's start. */
#if defined(_MSC_VER)
#define FO_THREAD_LOCAL __declspec(thread)
#elif defined(__GLIBC__)
#define FO_THREAD_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))
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
/* The start of worker k's share of [0, n), without the overflow of n * k. */
static ptrdiff_t share_start(ptrdiff_t n, int k, int n_workers)
{
    return n / n_workers * k + n % n_workers * k / n_workers;
}

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

typedef struct {
    ptrdiff_t n;
    fo_task *task;
    const void *context;
    double *own_end;                 /* written: when the caller was done with its share */
    fo_fp_mode mode;                 /* of the caller, in which workers round as well */
} shared_range;

static void run_share_of_thread(const void *context, int k, int n_threads)
{
    const shared_range *it = context;
    if (k != 0)
        fo_adopt_fp_mode(it->mode);
    run_share(share_start(it->n, k, n_threads), share_start(it->n, k + 1, n_threads), it->task, it->context);
    if (k == 0)
        *it->own_end = omp_get_wtime();
}

static void run_shares(ptrdiff_t n, int num_threads, fo_task *task, const void *context)
{
    const double start = omp_get_wtime();
    double own_end = start;
    const shared_range range = {n, task, context, &own_end, fo_get_fp_mode()};
    fo_run_on_threads(num_threads, run_share_of_thread, &range);
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
    if (num_threads > 1) {
        run_shares(n, num_threads, task, context);
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

int fo_try_acquire(int *busy) { return fo_exchange(busy, 1) == 0; }

void fo_release(int *busy) { fo_store(busy, 0); }
