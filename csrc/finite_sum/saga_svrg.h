/* saga_svrg.h -- steps with reduced variance: SAGA (Defazio, Bach & Lacoste-Julien 2014) and the inner loop of SVRG
 * (Johnson & Zhang 2013).
 *
 * Each sample i has a derivative in the gradient memory; the mean gradient is what the memory stands for. A step is
 *     w = soft((1 - rate l2) w - rate ((d_i - memory_i) x_i + mean), rate l1),
 * and with `updates_memory` (SAGA) d_i takes its place in memory and mean. Columns that the sample has no entry in only
 * follow the mean; on CSR data by a lagged update when they are read the next time. A linear part of the objective is
 * part of the mean gradient. */
#ifndef FO_SAGA_SVRG_H
#define FO_SAGA_SVRG_H

#include "finite_sum/epoch.h"

/* A segment of SAGA or SVRG. All arrays are the caller's, of the objective's dtype if no other is said. */
typedef struct {
    const fo_objective *objective;
    fo_batch samples;            /* of the segment, one step each */
    double learning_rate, l2, l1;   /* of the run; of the objective */
    int updates_memory;          /* SAGA; SVRG leaves memory and mean as they are */
    void *param;                 /* written */
    void *gradient_memory;       /* n_samples x n_outputs, times the samples' weights; SAGA writes it */
    void *mean_gradient;         /* like the parameters; SAGA writes it */
    void *scaled_columns;        /* CSR, one output, no l1: FO_SCALED_COLUMN_BYTES each, 64-byte aligned; or NULL */
    int32_t *n_updates;          /* CSR else: per column, the steps since the last flush that it has made; then 0 */
    const double *weight_scale;  /* CSR: (1 - rate l2)^k for each k from 0 to the most steps between two flushes */
    const double *cumulative_scale;   /* CSR: the sum of the powers below k */
    fo_interrupt_poll *poll;
    void *workspace;             /* 3 n_outputs: margins, derivatives and their changes, weights of several labels */
    double loss;                 /* sum over the steps, added to what was there */
    ptrdiff_t n_lagged;          /* steps since the last flush: of the segments before; each adds its own */
    double reached;              /* with scaled columns: G after these (scaled_weights_tmpl.h) */
    ptrdiff_t n_done;            /* steps */
    fo_segment_end end;          /* written at the end, like n_done */
} fo_saga_svrg;

enum { FO_SCALED_COLUMN_BYTES = 16 };

void fo_run_saga_svrg(fo_saga_svrg *it);

/* Lagged updates of all columns; parameters and mean gradient are up to date afterwards. */
void fo_flush_saga_svrg(fo_saga_svrg *it);

#endif
