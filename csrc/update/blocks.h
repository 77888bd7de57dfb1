/* blocks.h -- kernels over blocks of the work list, for what runs its passes itself. */
#ifndef FO_BLOCKS_H
#define FO_BLOCKS_H

#include "fastopt.h"

/* What all threads of a pass share. */
typedef struct {
    const fo_work *work;
    const fo_rule *rule;
    const fo_group *groups;
    int form;                    /* the options, to which a group's step adds FO_MODIFIED; or FO_INITIALISE ... */
    int only_reads;              /* state stays as it is */
} fo_pass;

/* Entries [lo, hi) through views: a gradient with strides, or one to be expanded with zeros, is brought into the cache,
 * and reduced slots are decoded unless the kernel does so itself. With by_rows it counts rows. */
void fo_run_on_views(const fo_pass *it, const fo_array *array, const fo_step *step, fo_kernel *kernel, ptrdiff_t lo,
                     ptrdiff_t hi);

/* The kernel of a form over units [lo, hi) of an array. */
void fo_run_kernel(const fo_pass *it, const fo_array *array, const fo_step *step, ptrdiff_t lo, ptrdiff_t hi);

#endif
