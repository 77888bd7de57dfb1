/* single_sample_sgd.c -- the kernels of single_sample_sgd.h in every variant. */
#include "finite_sum/single_sample_sgd.h"
#include "finite_sum/samples.h"
#include "finite_sum/scaled_sgd.h"

typedef struct {
    void (*run)(const fo_segment *segment, fo_worker *worker, ptrdiff_t first);
} single_sample_kernels;

enum { SIDE_BY_SIDE = 8 };       /* products that are summed side by side */

#define PREFIX single_sample
#define FO_TEMPLATE "finite_sum/single_sample_sgd_tmpl.h"
#include "core/variants.h"
FO_KERNEL_TABLE(const single_sample_kernels);

void fo_single_sample_sgd(const fo_segment *segment, fo_worker *worker, ptrdiff_t first)
{
    FO_KERNELS(segment->objective->dtype)->run(segment, worker, first);
}
