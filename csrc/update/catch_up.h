/* catch_up.h -- rows that rest: what they have missed, made up for in time that does not grow with the rest.
 *
 * With deferred steps a sparse gradient is one among zeros, but rows that it does not touch only rest: last_step says
 * how far they are. Before such a row is read it catches up with the steps since, whose scalars are kept in a history
 * common to all rows of an array; steps without any gradient for the array are not in it. Two kinds of rules can do so
 * (fo_rest in fastopt.h):
 *   FO_LINEAR   A step without a gradient maps an entry, (p, slots), to M (p, slots). M is found by making the step on
 *               unit vectors; the product of the M of a rest is applied once.
 *   FO_FADES    The entry makes the steps that it has missed, with zeros for a gradient, until what they add to p is
 *               below rounding: a number of steps that does not depend on the rest. Those that follow do no more than
 *               multiply p and the slots, by products again; the last one is made, for rules that take maxima.
 * The map of one step is a square matrix, or factor and addend of p and of each slot. It is that of a step in the dtype
 * of the entries, whose scalars are rounded to it: a factor that is a little off would count as often as the rest is
 * long. Maps of 2, 4, 8 ... steps are kept as well, so that the map of a rest of r steps is a product of some 2
 * log2(r), always in the same order. */
#ifndef FO_CATCH_UP_H
#define FO_CATCH_UP_H

#include "fastopt.h"
#include "core/numerics.h"

/* Numbers in a map: a square of the parameter and all slots. Rests whose maps a pass keeps. Entries that make the
 * missed steps together. */
enum { FO_MAX_MAP = FO_MAX_STREAMS * FO_MAX_STREAMS, FO_RESTS_KEPT = 64, FO_REST_CHUNK = 256 };

/* The steps that rows may be behind by. `past` and `maps` are the caller's memory. Among the maps are, after those of
 * the steps before, the maps of the last 1, 2, 4 ... 2^k steps that end with step n, as long as 2^k divides n. */
struct fo_history {
    const fo_rule *rule;
    int form;                    /* the options alone */
    int dtype;                   /* of the array */
    int64_t start;               /* of the array's steps, start + 1 ... start + n are in it */
    ptrdiff_t n, capacity;
    double largest_ratio;        /* FO_FADES: of the terms of one step to those of the step before */
    int by_root;                 /* FO_FADES: terms are those of the rule's rest(), as in its update() */
    int64_t terms;               /* and in how many steps of a rest they show: the last one is made, too */
    void *past;                  /* FO_FADES: capacity scalars of steps, rounded to the dtype */
    double *maps;                /* 2 capacity of them */
};

/* The number of the last step: what last_step of rows that are up to date is. */
static inline int64_t fo_present(const fo_history *history) { return history->start + history->n; }

/* Maps from some steps to the last one of a pass. */
typedef struct {
    int64_t from[FO_RESTS_KEPT];
    double map[FO_RESTS_KEPT][FO_MAX_MAP];
} fo_rests;

/* Before a pass: none are known. */
static inline void fo_begin_rests(fo_rests *rests)
{
    for (int k = 0; k < FO_RESTS_KEPT; ++k)
        rests->from[k] = -1;
}

/* The map of the steps after `from` up to `to`, which is the same in all calls of a pass. */
const double *fo_map_between(const fo_history *history, int64_t from, int64_t to, fo_rests *rests);

#endif
