/* single_sample_sgd.c -- the kernels of single_sample_sgd.h in every variant. */
#include <string.h>
#include "finite_sum/single_sample_sgd.h"
#include "finite_sum/output_tiles.h"
#include "finite_sum/samples.h"
#include "finite_sum/scaled_sgd.h"

typedef struct {
    void (*run)(const fo_segment *segment, fo_worker *worker, ptrdiff_t first);
} single_sample_kernels;

enum { SIDE_BY_SIDE = 8 };       /* products that are summed side by side */

/* Of several outputs: columns whose rows stay in the first-level cache from one tile of outputs to the next, and chains
 * of additions side by side. */
enum { SOME_COLUMNS = 64, CHAINS = 4 };

/* The forms of the loop. */
enum { WITH_L1 = 1, SEVERAL = 2 };

#define PREFIX single_sample
#define FO_TEMPLATE "finite_sum/single_sample_sgd_tmpl.h"
#include "core/variants.h"
FO_KERNEL_TABLE(const single_sample_kernels);

void fo_single_sample_sgd(const fo_segment *segment, fo_worker *worker, ptrdiff_t first)
{
    FO_KERNELS(segment->objective->dtype)->run(segment, worker, first);
}
