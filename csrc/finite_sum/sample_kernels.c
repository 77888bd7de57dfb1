/* sample_kernels.c -- the kernels of sample_kernels.h in every variant. */
#include "finite_sum/sample_kernels.h"
#include "finite_sum/output_tiles.h"
#include "finite_sum/samples.h"
#include "finite_sum/records.h"

#define PREFIX samples
#define FO_TEMPLATE "finite_sum/sample_kernels_tmpl.h"
#include "core/variants.h"
FO_KERNEL_TABLE(const fo_sample_kernels);

const fo_sample_kernels *fo_sample_kernels_of(int dtype) { return FO_KERNELS(dtype); }
