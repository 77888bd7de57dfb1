/* records.h -- parameters and state of each column side by side, as long as batches of CSR samples leave columns
 * behind: one cache line where several arrays would have several. A flush puts them back in their arrays. */
#ifndef FO_RECORDS_H
#define FO_RECORDS_H

#include "fastopt.h"

enum { GATHERED_AHEAD = 64 };    /* columns between a prefetch of their records and the use */

/* A record is the parameter, each slot that there is, and fo_penalty's `left_after`, which stays in it. */
typedef struct {
    void *memory;                /* a record for each parameter; or NULL: the arrays are used as they are */
    ptrdiff_t spacing;           /* entries of the dtype from one record to the next; 1 without records */
} fo_records;

/* A view of an array of single entries: those in the records, or the array itself. Positions in it are those of the
 * parameters times the spacing. */
fo_array fo_in_records(const fo_records *it, const fo_array *array);

/* Copies an array into the records, and back. */
void fo_load_records(const fo_records *it, const fo_array *array, int num_threads);
void fo_store_records(const fo_records *it, const fo_array *array, int num_threads);

#endif
