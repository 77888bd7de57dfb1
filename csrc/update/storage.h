/* storage.h -- the storage of state: how a slot lies in memory and becomes a `real` of the rule, and back.
 *
 * A slot has the dtype of its parameter: `real` is that of the variant in which the macros are used. A slot of reduced
 * precision would be another set of the three; rules and drivers would not change. */
#ifndef FO_STORAGE_H
#define FO_STORAGE_H

#define state_t real
#define LOAD_STATE(stored) (stored)
#define SAVE_STATE(value) (value)

#endif
