/* reduced.h -- steps with reduced variance: SAGA (Defazio, Bach & Lacoste-Julien 2014) and the inner loop of SVRG
 * (Johnson & Zhang 2013).
 *
 * Each sample i has a derivative in a table; `mean` is the gradient that the table stands for. A step is
 *     w = soft((1 - rate l2) w - rate ((d_i - table_i) x_i + mean), rate l1),
 * and with `refresh` (SAGA) d_i takes its place in table and mean. Columns that the row has no entry in only follow
 * the mean; on CSR data they make up for it when they are read the next time. */
#ifndef FO_REDUCED_H
#define FO_REDUCED_H

#include "finite_sum/objective.h"
#include "finite_sum/epoch.h"

typedef struct {
    const fo_objective *objective;
    fo_batch samples;            /* of the stretch, one step each */
    double rate, l2, l1;
    int refresh;
    void *param;
    void *table;                 /* n_samples x n_outputs, times the samples' weights */
    void *mean;                  /* like the parameters */
    void *folded;                /* CSR of one output, no l1: FO_FOLDED_BYTES per column, 64-byte aligned; or NULL */
    int32_t *done;               /* CSR else: per column, the steps of the stretch that it has made; 0 at the start */
    const double *power, *sum;   /* CSR: of 1 - rate l2: its k-th power, and the sum of the powers below k */
    fo_lookout *lookout;
    void *margin;                /* room for 2 n_outputs */
    double loss, squared_norm;   /* sum over the steps; of the last step's sample */
    ptrdiff_t n_done;
    fo_stretch_end end;
} fo_reduced;

enum { FO_FOLDED_BYTES = 32 };

void fo_run_reduced(fo_reduced *it);

#endif
