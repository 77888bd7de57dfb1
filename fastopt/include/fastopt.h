/* fastopt.h -- steps of an optimizer of fastopt from compiled code, with or without the interpreter's lock.
 *
 * Nothing is linked: a handle leads to the functions. From Python it is `opt.address`, borrowed, or the pointer in
 * `opt.capsule`, which keeps the optimizer alive. As long as the optimizer lives, the memory of its parameters stays
 * where it is. Two calls at a time of one optimizer: the second is refused with FO_STATUS_BUSY. */
#ifndef FASTOPT_PUBLIC_H
#define FASTOPT_PUBLIC_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* Grows when a function is added; what is there stays as it is. */
#define FASTOPT_INTERFACE_VERSION 1

/* What a call returns. After all but the first nothing has changed: neither parameters nor state. */
enum {
    FO_STATUS_OK = 0,           /* also of a step that nonfinite="skip" has left out */
    FO_STATUS_BUSY = 1,         /* another call of this optimizer is under way */
    FO_STATUS_BAD_ARGUMENT = 2, /* a null pointer, a negative size, an array that there is not, unaligned memory */
    FO_STATUS_BAD_INDEX = 3,    /* a row that there is not */
    FO_STATUS_NONFINITE = 4,    /* the gradient has NaN or infinity, and nonfinite="raise" */
    FO_STATUS_READ_ONLY = 5,    /* a parameter is not writable any more */
    FO_STATUS_MOVED = 6,        /* a parameter has another memory than the one that was bound */
    FO_STATUS_OVERLAP = 7,      /* a gradient lies in the memory of parameters or state */
    FO_STATUS_NO_MEMORY = 8,
    FO_STATUS_REFUSED = 9       /* what `step` in Python refuses for another reason: try it there for the message */
};

typedef struct fo_handle fo_handle;

/* The functions, at the version that is theirs. `grads` has one pointer for each parameter, in the order of Python:
 * C-contiguous, of its size and dtype; null for one without a gradient, which is left alone. `rows` has n rows of the
 * parameter `array`, in its dtype, and `indices` their places, int32 or int64; with `unique` each comes once. */
typedef struct {
    int version;
    int (*step_dense)(fo_handle *it, const void *const *grads);
    int (*step_rows)(fo_handle *it, ptrdiff_t array, const void *indices, int index64, ptrdiff_t n, const void *rows,
                     int unique);
    int (*catch_up)(fo_handle *it, ptrdiff_t array, const void *indices, int index64, ptrdiff_t n);
    double (*learning_rate)(fo_handle *it);
    int (*set_learning_rate)(fo_handle *it, double rate);
    int64_t (*step_count)(const fo_handle *it);
    double (*last_norm)(const fo_handle *it);
    int (*measure)(fo_handle *it, const void *const *grads, double *norm, int *finite);
} fo_interface;

struct fo_handle {
    const fo_interface *functions; /* what follows is fastopt's own */
};

/* One step with dense gradients. */
static inline int fo_step_dense(fo_handle *it, const void *const *grads)
{
    return it ? it->functions->step_dense(it, grads) : FO_STATUS_BAD_ARGUMENT;
}

/* One step with a sparse gradient of one parameter; the others have none. With `unique` 0 rows of one place are added
 * in their order. */
static inline int fo_step_rows(fo_handle *it, ptrdiff_t array, const void *indices, int index64, ptrdiff_t n,
                               const void *rows, int unique)
{
    return it ? it->functions->step_rows(it, array, indices, index64, n, rows, unique) : FO_STATUS_BAD_ARGUMENT;
}

/* Bring rows up to date with all steps so far, where steps are deferred; else they are. */
static inline int fo_catch_up(fo_handle *it, ptrdiff_t array, const void *indices, int index64, ptrdiff_t n)
{
    return it ? it->functions->catch_up(it, array, indices, index64, n) : FO_STATUS_BAD_ARGUMENT;
}

/* The learning rate of the next step, of arrays without one of their own; of a schedule the one of the last step. NaN
 * while another call is under way. */
static inline double fo_learning_rate(fo_handle *it) { return it ? it->functions->learning_rate(it) : (double)NAN; }

/* As `opt.learning_rate = rate`, under the interpreter's lock. */
static inline int fo_set_learning_rate(fo_handle *it, double rate)
{
    return it ? it->functions->set_learning_rate(it, rate) : FO_STATUS_BAD_ARGUMENT;
}

/* Number of completed steps; -1 without a handle. */
static inline int64_t fo_step_count(const fo_handle *it) { return it ? it->functions->step_count(it) : -1; }

/* Norm of the last gradient, with `clip_norm`; else NaN. */
static inline double fo_last_norm(const fo_handle *it) { return it ? it->functions->last_norm(it) : (double)NAN; }

/* Norm of gradients over all arrays, limited by `clip_value`, and whether all entries are finite; no step. */
static inline int fo_measure(fo_handle *it, const void *const *grads, double *norm, int *finite)
{
    return it ? it->functions->measure(it, grads, norm, finite) : FO_STATUS_BAD_ARGUMENT;
}

#ifdef Py_PYTHON_H
/* The handle of an optimizer, borrowed: the optimizer must live as long as it is used. NULL, with an exception, if
 * the object is no optimizer, or of a fastopt that is older than this header. */
static inline fo_handle *fo_handle_of(PyObject *optimizer)
{
    PyObject *capsule = PyObject_GetAttrString(optimizer, "capsule");
    fo_handle *it = capsule ? (fo_handle *)PyCapsule_GetPointer(capsule, "fastopt.optimizer") : NULL;
    Py_XDECREF(capsule);
    if (it && it->functions->version < FASTOPT_INTERFACE_VERSION) {
        PyErr_Format(PyExc_ImportError, "fastopt has version %d of its C interface, %d is needed; update fastopt.",
                     it->functions->version, FASTOPT_INTERFACE_VERSION);
        it = NULL;
    }
    return it;
}
#endif

#endif
