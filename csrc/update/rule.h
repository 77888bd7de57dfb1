/* rule.h -- from the name lists of a rule (RULE, HYPER, OPTIONS, CARRY, COEF, SLOTS, KEPT) to its types.
 *
 * A rule file includes this right after its lists, then defines prepare(), then includes "update/export_rule.h", which
 * makes the kernels and the table entry: prepare() needs the types, and the entry needs prepare(). See csrc/README.md,
 * "add a rule". */
#include <string.h>
#include "fastopt.h"
#include "core/variants.h"
#include "core/powers.h"

#define PREFIX RULE
#define FO_DOUBLE(name) double name;
#define FO_CARRIED(name, first) double name;
#define FO_OPTION_INDEX(name) FO_OPTION_##name,
#define FO_OPTION_BIT(name) name = 2 << FO_OPTION_##name,   /* bit 0 is FO_MODIFIED */
#define FO_SLOT_INDEX(name, options, initial) FO_SLOT_##name,

/* Lists that are empty for most rules. */
#ifndef OPTIONS
#define OPTIONS(X)
#endif
#ifndef CARRY
#define CARRY(X)
#endif
#ifndef KEPT
#define KEPT(X)
#endif
#define ALL_SLOTS(X) SLOTS(X) KEPT(X)

/* 1 where the place of weight decay in the step is a part of the paper's formula; else it is the driver's. */
#ifndef OWN_WEIGHT_DECAY
#define OWN_WEIGHT_DECAY 0
#endif

typedef struct {
    HYPER(FO_DOUBLE)
} hyper;
typedef struct {
    COEF(FO_DOUBLE)
} coefs;
typedef struct {
    CARRY(FO_CARRIED) double end;
} carried;
enum { OPTIONS(FO_OPTION_INDEX) FO_N_OPTIONS };
enum { OPTIONS(FO_OPTION_BIT) always = 0 };
enum { ALL_SLOTS(FO_SLOT_INDEX) FO_N_SLOTS };

/* What prepare() is told about the step. */
typedef struct {
    double learning_rate;
    int64_t t;                   /* number of the step, from 1 */
    carried *carry;              /* read and updated */
} step_inputs;
