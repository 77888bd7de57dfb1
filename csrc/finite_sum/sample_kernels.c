/* rows.c -- the kernels of rows.h in every variant. */
#include "finite_sum/sample_kernels.h"
#include "finite_sum/samples.h"

#define RULE rows
#define FO_TEMPLATE "finite_sum/sample_kernels_tmpl.h"
#include "core/variants.h"

#define ENTRY(dtype, isa) &FO_SYMBOL(RULE, kernels, dtype, isa),
static const fo_row_kernels *const variants[] = {FO_FOR_EACH_VARIANT(ENTRY)};

const fo_row_kernels *fo_row_kernels_of(int dtype) { return variants[fo_variant_index(dtype)]; }
