/* stretch.h -- consecutive batches of an epoch in one go: margins, losses, gradients and steps, without Python. */
#ifndef FO_STRETCH_H
#define FO_STRETCH_H

#include "core/interrupt.h"
#include "finite_sum/lagged_penalty.h"
#include "finite_sum/sample_kernels.h"

/* Distinct columns in a batch: what is noted of a column is 31 bits wide. */
enum { FO_MOST_COLUMNS = 1 << 30 };

/* Why a stretch ended before its last batch. */
typedef enum { FO_COMPLETE, FO_BAD_LOSS, FO_BAD_GRADIENT } fo_stretch_end;

/* What all workers share. `hyper` is where the rule keeps l1 and l2, for FO_SOLVE. */
typedef struct {
    const fo_objective *objective;
    const fo_penalty *penalty;
    const fo_optimizer *optimizer;       /* before the first batch */
    fo_batch samples;
    ptrdiff_t batch_size, n_batches;
    const double *rate;                  /* one for each batch, and before them that of the step before */
    int plain;                           /* fo_descend does it */
    int dense;                           /* steps go over all parameters, and none of them is behind after a step */
    int look_ahead;                      /* sparse batches: the next one's columns on a second thread */
    int l1_at, l2_at;
    int num_threads;                     /* for the work inside a batch; 1 with look-ahead, or without locks */
    fo_lookout *lookout;                 /* between batches; NULL for lock-free workers */
    int n_workers;                       /* lock-free: worker k takes the batches k, k + n_workers, ... */
    double loss;                         /* of the epoch so far: worker 0 goes on from it, wherever stretches end */
} fo_stretch;

/* One that goes through batches, with memory of its own for the largest of them. */
typedef struct {
    fo_optimizer optimizer;
    fo_array array;
    ptrdiff_t first_block[2];
    fo_seen seen;
    fo_touched touched[2];               /* of the present batch and, with look-ahead, of the next */
    void *gathered;                      /* parameters of the touched columns */
    void *gradient;                      /* of these, or of all parameters */
    void *spread;                        /* of all parameters, where a sparse batch makes a dense step */
    void *derivative, *label, *weight;   /* of the samples */
    struct fo_scan *partial;             /* for fo_admit, or NULL */
    void *room;                          /* of fo_arranging_room bytes, or NULL */
    double loss;                         /* sum over the batches of their mean loss times their size */
    double squared_norm;                 /* of the last gradient */
    ptrdiff_t n_done;                    /* batches */
    ptrdiff_t n_skipped;                 /* batches with a bad gradient, lock-free */
    fo_stretch_end end;
} fo_worker;

void fo_run_stretch(const fo_stretch *stretch, fo_worker *workers);

/* Brings all parameters up to date with the steps before t, which ends a stretch. */
void fo_settle(const fo_stretch *stretch, fo_worker *worker, int64_t t, int num_threads);

#endif
