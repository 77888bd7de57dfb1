/* workers.c -- the threads that work is shared among, their waiting, and forks.
 *
 * They are no threads of the OpenMP runtime, whose pool ends the process when it cannot start a thread, and waits for
 * ever in a forked child, also for threads of which another library had need (docs/adr/0010-own-threads.md). The
 * runtime's settings hold: OMP_NUM_THREADS and threadpoolctl (parallel.c), OMP_THREAD_LIMIT, OMP_WAIT_POLICY. */
#if defined(__linux__)
#define _GNU_SOURCE
#include <sched.h>
#endif
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "fastopt.h"
#include "core/workers.h"

#ifndef _OPENMP
int fo_expect_forks(void) { return 1; }
#else
#include <omp.h>
#include "core/atomics.h"
#include "core/threads.h"

/* A caller sets WORKING, the worker the others; so whoever reads WORKING knows that there is work, or still is. */
enum { IDLE, WORKING, ASLEEP };

typedef struct {
    fo_share *share;
    const void *context;
    int n_threads;
    int core;                        /* on which the caller runs, or -1 */
} fo_job;

typedef struct worker {
    int state;                       /* atomic */
    int place;                       /* k of its share; as `job` and `next`, the caller's until it is WORKING */
    const fo_job *job;
    struct worker *next;             /* of those idle, or of a team */
    struct pool *pool;
    fo_lock lock;                    /* for sleep alone */
    fo_signal called;
} worker;

typedef struct pool {
    long process;                    /* whose threads they are; a forked child has none of its parent's */
    fo_lock lock;                    /* of the next two */
    worker *idle;                    /* last in, first out: a caller gets the same workers in the same order again */
    int n_workers;
    int n_awake;                     /* atomic, as is the next */
    int n_processors;
} pool;

static void *current_pool = NULL;    /* atomic */

/* --- waiting ---------------------------------------------------------------------------------------------------- */

/* How often a worker looks for work before it sleeps, when all that are awake have a processor and when they have not:
 * libgomp's numbers, some milliseconds and some microseconds. */
typedef struct {
    const char *name;                /* of OMP_WAIT_POLICY */
    int spins, crowded_spins;
} wait_policy;

static const wait_policy policies[] = {{"", 300000, 1000}, {"active", INT_MAX, 100000}, {"passive", 0, 0}};
static const wait_policy *policy = &policies[0];

static int equal_but_for_case(const char *a, const char *b)
{
    for (; *a && (*a | 0x20) == *b; ++a)
        ++b;
    return !*a && !*b;
}

static void read_policy(void)
{
    const char *name = getenv("OMP_WAIT_POLICY");
    for (size_t k = 0; name && k < sizeof policies / sizeof policies[0]; ++k)
        if (equal_but_for_case(name, policies[k].name))
            policy = &policies[k];
}

static void sleep_until_called(worker *it)
{
    if (!fo_replace(&it->state, IDLE, ASLEEP))
        return;
    fo_add(&it->pool->n_awake, -1);
    fo_acquire_lock(&it->lock);
    while (fo_load(&it->state) == ASLEEP)
        fo_wait(&it->called, &it->lock);
    fo_release_lock(&it->lock);
}

static void wait_for_work(worker *it)
{
    const int is_crowded = fo_load(&it->pool->n_awake) >= fo_load(&it->pool->n_processors);
    const int most = is_crowded ? policy->crowded_spins : policy->spins;
    for (int turn = 0; turn < most; ++turn) {
        if (fo_load(&it->state) == WORKING)
            return;
        fo_pause();
    }
    sleep_until_called(it);
}

static void call(worker *it, const fo_job *job, int place)
{
    it->job = job;
    it->place = place;
    if (fo_exchange(&it->state, WORKING) != ASLEEP)
        return;
    fo_add(&it->pool->n_awake, 1);
    fo_acquire_lock(&it->lock);      /* it is before its look at the state, or waits for the signal */
    fo_send(&it->called);
    fo_release_lock(&it->lock);
}

/* The caller gives up its core if a team is not done soon after it. */
static void wait_for_team(worker *first)
{
    enum { SPINS = 100000 };         /* about 50 us */
    int turn = 0;
    for (worker *each = first; each; each = each->next)
        while (fo_load(&each->state) == WORKING)
            if (++turn > SPINS)
                fo_nap();
}

/* A worker that has slept may be woken on the core of the caller. Both then spin there in turns of the scheduler,
 * while other cores idle: 7 ms for a pass of 0.3 ms were measured after the caller had slept, 0.8 ms with this and the
 * naps of the caller, each of which alone leaves 3 ms. */
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
#else
static int current_core(void) { return -1; }
static void leave_core(int core) { (void)core; }
#endif

/* --- the pool --------------------------------------------------------------------------------------------------- */

FO_THREAD(serve)
{
    worker *it = given;
    for (;;) {
        wait_for_work(it);
        leave_core(it->job->core);
        it->job->share(it->job->context, it->place, it->job->n_threads);
        fo_store(&it->state, IDLE);  /* from here on the job may be gone */
    }
}

/* More threads than OMP_THREAD_LIMIT, the caller's among them, are not for OpenMP's users to have. */
static int thread_limit(void)
{
#if _OPENMP >= 200805
    return omp_get_thread_limit();
#else
    return INT_MAX;
#endif
}

/* One more idle worker, under the lock; 0 if it cannot be had now. */
static int add_worker(pool *it)
{
    worker *added;
    if (it->n_workers + 1 >= thread_limit() || !(added = malloc(sizeof *added)))
        return 0;
    *added = (worker){.state = IDLE, .pool = it, .next = it->idle, .lock = FO_LOCK_INIT, .called = FO_SIGNAL_INIT};
    fo_store(&it->n_processors, omp_get_num_procs());
    fo_add(&it->n_awake, 1);
    if (!fo_start_thread(serve, added)) {
        fo_add(&it->n_awake, -1);
        free(added);
        return 0;
    }
    it->idle = added;
    ++it->n_workers;
    return 1;
}

/* At most so many workers, as a list; there may be none. */
static worker *take_team(pool *it, int n_wanted, int *n_taken)
{
    worker *first = NULL, **end = &first;
    *n_taken = 0;
    fo_acquire_lock(&it->lock);
    while (*n_taken < n_wanted && (it->idle || add_worker(it))) {
        *end = it->idle;
        end = &it->idle->next;
        it->idle = it->idle->next;
        ++*n_taken;
    }
    fo_release_lock(&it->lock);
    *end = NULL;
    return first;
}

static void give_back(pool *it, worker *first)
{
    worker *last = first;
    while (last->next)
        last = last->next;
    fo_acquire_lock(&it->lock);
    last->next = it->idle;
    it->idle = first;
    fo_release_lock(&it->lock);
}

/* The pool of this process, empty in a new one; NULL if there is no memory for it. That of a parent is left as it is:
 * its lock may be held, and its workers may be at work, for ever. */
static pool *own_pool(void)
{
    pool *known = fo_load_pointer(&current_pool), *fresh;
    if (known && known->process == fo_process())
        return known;
    fresh = malloc(sizeof *fresh);
    if (!fresh)
        return NULL;
    *fresh = (pool){.process = fo_process(), .lock = FO_LOCK_INIT};
    if (fo_replace_pointer(&current_pool, known, fresh))
        return fresh;
    free(fresh);
    return fo_load_pointer(&current_pool);
}

/* A child is known by its number, whatever made it, and a child of fork() also if it has the number of an ancestor. */
static void disown_pool(void)
{
    pool *known = fo_load_pointer(&current_pool);
    if (known)
        known->process = 0;
}

int fo_expect_forks(void)
{
    read_policy();
    return fo_in_children(disown_pool);
}

void fo_run_on_threads(int n_wanted, fo_share *share, const void *context)
{
    pool *from = own_pool();
    int n_taken = 0, place = 0;
    worker *team = from ? take_team(from, n_wanted - 1, &n_taken) : NULL;
    const fo_job job = {share, context, n_taken + 1, current_core()};
    for (worker *each = team; each; each = each->next)
        call(each, &job, ++place);
    share(context, 0, job.n_threads);
    if (team) {
        wait_for_team(team);
        give_back(from, team);
    }
}
#endif
