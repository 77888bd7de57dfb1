/* workers.h -- a pool of threads that are started when they are first wanted, and wait for work from then on. */
#ifndef FO_WORKERS_H
#define FO_WORKERS_H

/* What thread k of n_threads is to do. */
typedef void fo_share(const void *context, int k, int n_threads);

/* Calls share(context, k, n) for each k below n at the same time, and returns when all are done. The caller's own is
 * k = 0. n is at most n_wanted, and less where the system has no more threads to give. */
void fo_run_on_threads(int n_wanted, fo_share *share, const void *context);

#endif
