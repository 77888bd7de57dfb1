/* rows.c -- the kernels of rows.h in every variant. */
#include "rows.h"
#include "samples.h"

#define RULE rows
#define FO_TEMPLATE "row_kernels.h"
#include "for_each_variant.h"

#define ENTRY(dtype, isa) &FO_SYMBOL(RULE, kernels, dtype, isa),
static const fo_row_kernels *const variants[] = {FO_FOR_EACH_VARIANT(ENTRY)};

const fo_row_kernels *fo_row_kernels_of(int dtype) { return variants[fo_variant_index(dtype)]; }
