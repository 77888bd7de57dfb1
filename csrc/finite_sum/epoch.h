/* epoch.h -- a segment of an epoch: consecutive mini-batches in one go, their margins, losses, gradients and steps,
 * without Python. */
#ifndef FO_EPOCH_H
#define FO_EPOCH_H

#include "core/interrupt.h"
#include "finite_sum/lagged_penalty.h"
#include "finite_sum/records.h"
#include "finite_sum/sample_kernels.h"

/* Distinct columns in a batch: what is noted of a column is 31 bits wide. */
enum { FO_MOST_COLUMNS = 1 << 30 };

/* What ended a segment: FO_COMPLETE is no fault; after an interrupt n_done is smaller than the number of batches. */
typedef enum { FO_COMPLETE, FO_BAD_LOSS, FO_BAD_GRADIENT } fo_segment_end;

/* What all workers share; read only during a segment. The arrays belong to the caller. */
typedef struct {
    const fo_objective *objective;
    const fo_penalty *penalty;           /* those of the objective */
    const fo_optimizer *optimizer;       /* as it is before the first batch */
    fo_batch samples;                    /* of all batches, one after the other */
    ptrdiff_t batch_size, n_batches;     /* the last batch may be shorter */
    const double *learning_rate;         /* n_batches + 1: of the step before the segment, and of each batch */
    int scales;                          /* plain SGD on scaled weights: scaled_sgd.h */
    void *scaled;                        /* these: with l1 doubles, else the parameters themselves */
    fo_records records;                  /* of penalised columns of one output */
    int loads_records;                   /* they do not have the parameters and the state yet */
    int single_sample_sgd;               /* finite_sum/single_sample_sgd.c does it; it scales, or has dense steps */
    int dense_steps;                     /* steps go over all parameters, and nothing is outstanding after a step */
    int64_t *last_step;                  /* deferred steps: the last one of each column and the intercepts; or NULL */
    fo_history *history;                 /* those that columns have missed, with room for n_batches more */
    int pipelined;                       /* CSR batches: the next one's columns are collected on a second thread */
    int l1_at, l2_at;                    /* FO_CLOSED_FORM: where the rule keeps them among its hyper-parameters */
    int num_threads;                     /* for the work inside a batch; 1 if pipelined or lock-free */
    fo_interrupt_poll *poll;             /* between batches; NULL for lock-free workers */
    int n_workers;                       /* lock-free: worker k takes the batches k, k + n_workers, ... */
    double loss;                         /* of the epoch so far: worker 0 goes on from it, wherever segments end */
} fo_segment;

/* One that goes through batches, with memory of its own (the caller's arrays) for the largest of them. Entries of the
 * objective's dtype, if no other is said; kernels write all of them. */
typedef struct {
    fo_optimizer optimizer;              /* a copy of the segment's, over `array` and `group` */
    fo_group group;                      /* of that array, which is alone */
    fo_array array;                      /* parameters and state, in records if there are any; each batch binds this
                                          * worker's gradient to it */
    ptrdiff_t first_block[2];            /* of the work list of this one array */
    fo_seen seen;                        /* of CSR samples */
    fo_touched touched[2];               /* of the present batch and, if pipelined, of the next */
    void *gathered;                      /* parameters of the touched columns, touched.n x n_outputs; doubles for
                                          * single_sample_sgd of one output */
    int32_t *left;                       /* FO_LAGGED_GRADIENT: when these columns were left, fo_penalty's */
    void *gradient;                      /* of these and the intercepts; of dense samples, of all parameters */
    void *expanded;                      /* of all parameters, where a CSR batch makes a dense step */
    void *derivative;                    /* batch_size x n_outputs */
    void *label, *weight;                /* batch_size x n_labels */
    fo_sums *partial;                    /* of fo_check_gradient: FO_MAX_CHUNKS + 1 */
    void *workspace;                     /* of fo_partition_workspace bytes, or NULL */
    double loss;                         /* sum over the batches of their mean loss times their size */
    double squared_norm;                 /* of the gradient of the segment's last batch */
    ptrdiff_t n_done;                    /* batches */
    ptrdiff_t n_skipped;                 /* batches with a bad gradient, lock-free */
    fo_segment_end end;
} fo_worker;

/* Before the first batch: a worker's optimizer has an array of its own over the same parameters and state, and scalars
 * of its own. */
void fo_start_worker(const fo_segment *segment, fo_worker *worker);

/* All batches, by n_workers workers. */
void fo_run_segment(const fo_segment *segment, fo_worker *workers);

/* Lagged updates of all parameters, for the steps before t of one segment or of several, since the penalty's tables
 * begin; the first learning rate of `segment` is that of the last step now. */
void fo_flush(const fo_segment *segment, fo_worker *worker, int64_t t, int num_threads);

#endif
