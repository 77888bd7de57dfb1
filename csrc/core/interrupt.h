/* interrupt.h -- long loops poll for an interrupt: they ask now and then whether they should end early, as on Ctrl-C,
 * which is to be heard within 0.1 s. */
#ifndef FO_INTERRUPT_H
#define FO_INTERRUPT_H

#include <stddef.h>
#include "core/subnormals.h"

/* Owned by whoever starts the loop, who sets the first four before it starts. */
typedef struct {
    int (*stop_wanted)(void *context);   /* asked every 50 ms at most: it may wait for the interpreter */
    void *context;
    ptrdiff_t every;                     /* iterations between two looks at the clock */
    ptrdiff_t left;                      /* iterations until the next look; as many as `every` at the start */
    double last;                         /* when it was asked, in seconds; 0 at first; fo_poll_interrupt writes it */
    fo_fp_mode mode;                     /* in which it is asked: the caller's; fo_start_polling writes it */
} fo_interrupt_poll;

/* Before the loop, in the caller's floating-point mode; `it` may be NULL. */
static inline void fo_start_polling(fo_interrupt_poll *it)
{
    if (it)
        it->mode = fo_get_fp_mode();
}

/* Asks, if 50 ms have passed since it was asked last. */
int fo_poll_interrupt(fo_interrupt_poll *it);

/* Once in each iteration; `it` may be NULL. Whether the loop is to end. */
static inline int fo_interrupted(fo_interrupt_poll *it)
{
    if (!it || --it->left > 0)
        return 0;
    it->left = it->every;
    return fo_poll_interrupt(it);
}

#endif
