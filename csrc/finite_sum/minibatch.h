/* batch.h -- one batch of a stretch: margins, losses, the gradient, the step. */
#ifndef FO_BATCH_H
#define FO_BATCH_H

#include "finite_sum/epoch.h"

/* A batch on its way through a worker. */
typedef struct {
    const fo_stretch *stretch;
    const fo_objective *objective;
    const fo_row_kernels *kernels;
    fo_worker *worker;
    fo_batch batch;
    fo_touched *touched;         /* of sparse rows */
    ptrdiff_t number;            /* in the stretch */
    int64_t t;                   /* steps before this one */
    size_t itemsize;
} fo_passage;

/* The distinct columns of sparse rows. Reads no parameters, so another thread may do it while the batch before runs. */
void fo_collect_batch(const fo_passage *it);

/* After the columns were collected. Whether the stretch goes on after this batch. */
int fo_run_batch(const fo_passage *it);

/* FO_SOLVE: what the bound columns are after t steps; a zero gradient leaves the state as it is. */
void fo_solve(const fo_passage *it, int64_t t, double rate, int num_threads);

#endif
