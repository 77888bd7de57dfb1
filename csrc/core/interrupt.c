/* interrupt.c -- the clock of interrupt.h. */
#include <time.h>
#include "core/interrupt.h"

static const double PAUSE = 0.05;        /* seconds */

int fo_poll_interrupt(fo_interrupt_poll *it)
{
    struct timespec now;
    double seconds;
    int stop;
    timespec_get(&now, TIME_UTC);
    seconds = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    if (seconds >= it->last && seconds < it->last + PAUSE)   /* the clock may be set back meanwhile */
        return 0;
    it->last = seconds;
    fo_restore_fp_mode(it->mode);
    stop = it->stop_wanted(it->context);
    fo_zero_subnormals();
    return stop;
}
