/* threads.h -- what POSIX and Windows call by different names: threads, locks, the process. */
#ifndef FO_THREADS_H
#define FO_THREADS_H

enum { STACK_BYTES = 1 << 20 }; /* of a thread: kernels use a few KiB, libraries may place their variables there */

#ifdef _WIN32
#include <windows.h>

typedef SRWLOCK fo_lock;
typedef CONDITION_VARIABLE fo_signal;
#define FO_LOCK_INIT SRWLOCK_INIT
#define FO_SIGNAL_INIT CONDITION_VARIABLE_INIT
#define FO_THREAD(name) static _Noreturn DWORD WINAPI name(void *given)

static inline void fo_acquire_lock(fo_lock *it) { AcquireSRWLockExclusive(it); }
static inline void fo_release_lock(fo_lock *it) { ReleaseSRWLockExclusive(it); }
static inline void fo_wait(fo_signal *it, fo_lock *lock) { (void)SleepConditionVariableSRW(it, lock, INFINITE, 0); }
static inline void fo_send(fo_signal *it) { WakeConditionVariable(it); }
static inline void fo_pause(void) { YieldProcessor(); }
static inline void fo_nap(void) { (void)SwitchToThread(); }
static inline long fo_process(void) { return (long)GetCurrentProcessId(); }
static inline int fo_in_children(void (*call)(void))
{
    (void)call; /* there is no fork */
    return 1;
}

static inline int fo_start_thread(DWORD(WINAPI *run)(void *), void *given)
{
    const HANDLE thread = CreateThread(NULL, STACK_BYTES, run, given, 0, NULL);
    return thread != NULL && CloseHandle(thread);
}
#else
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

typedef pthread_mutex_t fo_lock;
typedef pthread_cond_t fo_signal;
#define FO_LOCK_INIT PTHREAD_MUTEX_INITIALIZER
#define FO_SIGNAL_INIT PTHREAD_COND_INITIALIZER
#define FO_THREAD(name) static _Noreturn void *name(void *given)

static inline void fo_acquire_lock(fo_lock *it) { (void)pthread_mutex_lock(it); }
static inline void fo_release_lock(fo_lock *it) { (void)pthread_mutex_unlock(it); }
static inline void fo_wait(fo_signal *it, fo_lock *lock) { (void)pthread_cond_wait(it, lock); }
static inline void fo_send(fo_signal *it) { (void)pthread_cond_signal(it); }

static inline void fo_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static inline void fo_nap(void)
{
    const struct timespec a_moment = {0, 1000};
    (void)nanosleep(&a_moment, NULL);
}

static inline long fo_process(void) { return (long)getpid(); }

/* Has fork() call a function in each child; 0 if that cannot be had. */
static inline int fo_in_children(void (*call)(void)) { return pthread_atfork(NULL, NULL, call) == 0; }

/* Starts a thread that nobody waits for; 0 if the system has none to give. Signals to the process are for the threads
 * of the program: one that it has blocked to wait for must not end it here. Faults of the thread's own are not blocked.
 */
static inline int fo_start_thread(void *(*run)(void *), void *given)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    int is_started;
    if (pthread_attr_init(&attributes) != 0)
        return 0;
    (void)sigfillset(&all);
    (void)sigdelset(&all, SIGSEGV);
    (void)sigdelset(&all, SIGBUS);
    (void)sigdelset(&all, SIGFPE);
    (void)sigdelset(&all, SIGILL);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    is_started = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0
              && pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0
              && pthread_create(&thread, &attributes, run, given) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return is_started;
}
#endif

#endif
