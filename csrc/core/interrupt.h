/* lookout.h -- for long loops: asks now and then whether they should end early, as on Ctrl-C, which is to be heard
 * within 0.1 s. */
#ifndef FO_LOOKOUT_H
#define FO_LOOKOUT_H

#include <stddef.h>
#include "core/subnormals.h"

typedef struct {
    int (*stop_wanted)(void *context);   /* asked every 50 ms at most: it may wait for the interpreter */
    void *context;
    ptrdiff_t every, left;               /* iterations between two glances at the clock, and until the next */
    double last;                         /* seconds, when it was asked */
    fo_fp_mode mode;                     /* in which it is asked: the caller's */
} fo_lookout;

/* Before the loop, in the caller's floating-point mode; `it` may be NULL. */
static inline void fo_start_lookout(fo_lookout *it)
{
    if (it)
        it->mode = fo_get_fp_mode();
}

/* Asks, if it is time to. */
int fo_look_out(fo_lookout *it);

/* Once in each iteration; `it` may be NULL. */
static inline int fo_stop_wanted(fo_lookout *it)
{
    if (!it || --it->left > 0)
        return 0;
    it->left = it->every;
    return fo_look_out(it);
}

#endif
