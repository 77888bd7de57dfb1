/* storage.h -- the storage of state: how a slot lies in memory and becomes a `real` of the rule, and back.
 * A slot has the dtype of its parameter. A slot of reduced precision would be another block here; rules and drivers
 * would not change. Included once per variant, hence the #undefs. */
#undef state_t
#undef LOAD_STATE
#undef SAVE_STATE
#define state_t real
#define LOAD_STATE(stored) (stored)
#define SAVE_STATE(value) (value)
