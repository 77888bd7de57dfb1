/* handle.h -- an optimizer as compiled code has it: the functions of the public header, without Python where steps need
 * none. fastopt/_handle.pxi makes handles. */
#ifndef FO_HANDLE_H
#define FO_HANDLE_H

#include "fastopt.h"
#include "../fastopt/include/fastopt.h"

/* Addresses from start to before stop, of parameters and state. */
typedef struct {
    uintptr_t start, stop;
} fo_range;

/* Where a parameter array of the caller keeps what may change: its memory, and its flags. */
typedef struct {
    void *const *memory;
    const int *flags;
} fo_caller_array;

/* What is done by the owner in Python: steps that need it, with all that they refuse. */
typedef struct {
    int (*step_dense)(void *owner, const void *const *grads);
    int (*step_rows)(void *owner, ptrdiff_t array, const void *indices, int index64, ptrdiff_t n, const void *rows,
                     int unique);
    int (*catch_up)(void *owner, ptrdiff_t array, const void *indices, int index64, ptrdiff_t n);
    int (*set_learning_rate)(void *owner, double rate);
} fo_in_python;

/* All of it belongs to the owner, who also claims it with `busy`. */
typedef struct {
    fo_handle as_public; /* first: what compiled code has is a pointer to it */
    const fo_in_python *python;
    void *owner;
    fo_optimizer *it;
    int *busy;
    const int *lazy, *exact; /* what untouched rows get: nothing, or a zero gradient; or one later, if neither */
    const int *scheduled; /* some learning rate is a schedule */
    const fo_caller_array *arrays;
    int writeable; /* the bit of flags */
    const fo_range *owned; /* n_owned, sorted, disjoint */
    ptrdiff_t n_owned;
    ptrdiff_t *bytes; /* of the work that is planned */
    int *sparse_plan; /* it was planned for other than dense gradients */
    int64_t *skipped;
    double *last_rate;
    int num_threads; /* at most */
} fo_bound_handle;

extern const fo_interface fo_interface_functions;

#endif
