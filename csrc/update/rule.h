/* rule.h -- from the name lists of a rule (RULE, HYPER, OPTIONS, CARRY, COEF, SLOTS and those below) to its types.
 *
 * A rule file includes this right after its lists, then defines prepare(), then includes "update/export_rule.h", which
 * makes the kernels and the table entry: prepare() needs the types, and the entry needs prepare(). See csrc/README.md,
 * "add a rule". */
#include <string.h>
#include "fastopt.h"
#include "core/blas.h"
#include "core/variants.h"
#include "core/powers.h"
#include "update/products.h"
#include "update/sums.h"

#define PREFIX RULE
#define FO_DOUBLE(name) double name;
#define FO_CARRIED(name, first) double name;
#define FO_OPTION_INDEX(name) FO_OPTION_##name,
#define FO_OPTION_BIT(name) name = 2 << FO_OPTION_##name,   /* bit 0 is FO_MODIFIED */
#define FO_SLOT_INDEX(name, options, initial) FO_SLOT_##name,
#define FO_LINE_SLOT_INDEX(name) FO_SLOT_##name,
#define FO_SLOT_DOUBLE(name, options, initial) double name;

/* Lists that are empty for most rules. */
#ifndef OPTIONS
#define OPTIONS(X)
#endif
#ifndef CARRY
#define CARRY(X)
#endif
#ifndef KEPT                     /* slots that steps only read */
#define KEPT(X)
#endif
#ifndef MOMENTS                  /* X(name): slots that may be stored in fewer bits */
#define MOMENTS(X)
#endif
#ifndef SECOND_MOMENTS           /* the same of numbers that are never negative and need few digits */
#define SECOND_MOMENTS(X)
#endif
#ifndef ROW_SLOTS                /* slots with a number for each row */
#define ROW_SLOTS(X)
#endif
#ifndef ARRAY_SLOTS              /* slots with a number for each array, in double */
#define ARRAY_SLOTS(X)
#endif
#ifndef MATRIX_ROW_SLOTS         /* X(name): a slot with a number for each row of a matrix, zero at first */
#define MATRIX_ROW_SLOTS(X)
#endif
#ifndef MATRIX_COLUMN_SLOTS      /* the same for columns: measure() and update() get the value */
#define MATRIX_COLUMN_SLOTS(X)
#endif
#ifndef SUMS                     /* X(name, when, over): sums of a product of two numbers for each entry */
#define SUMS(X)
#endif
#define ENTRY_SLOTS(X) SLOTS(X) KEPT(X)
#define ALL_SLOTS(X) SLOTS(X) KEPT(X) ROW_SLOTS(X) ARRAY_SLOTS(X)
#define LINE_SLOTS(X) MATRIX_ROW_SLOTS(X) MATRIX_COLUMN_SLOTS(X)

/* 1 where the place of weight decay in the step is a part of the paper's formula; else it is the driver's. */
#ifndef OWN_WEIGHT_DECAY
#define OWN_WEIGHT_DECAY 0
#endif

/* Of sums during the step: bits 1 << FO_SUM_name of those that add nothing where the gradient is zero. */
#ifndef SUMS_OF_GRADIENTS
#define SUMS_OF_GRADIENTS 0
#endif

/* 1 where steps without a gradient rest like others when l2 * p is the gradient. What they multiply p by beside decay
 * of the driver, once slots that fade have faded. See catch_up.h. */
#ifndef RESTS_WITH_L2
#define RESTS_WITH_L2 0
#endif
#ifndef REST_DECAY
#define REST_DECAY 1
#endif
#ifndef RESTS
#define RESTS(X)
#endif

/* Those of COEF that decay the parameter, whose effect float32 may have to put off: X(name), factors that it is
 * multiplied by, of which all but one are 1; X(name, rate): amounts, of which it loses name * rate times itself. */
#ifndef DECAY_FACTORS
#define DECAY_FACTORS(X)
#endif
#ifndef DECAY_AMOUNTS
#define DECAY_AMOUNTS(X)
#endif

/* 1 where directions are made orthogonal, by matrices: see orthogonal_tmpl.h. */
#ifndef ORTHOGONALISES
#define ORTHOGONALISES 0
#endif

/* 1 where the step depends on the value of the objective. */
#ifndef USES_VALUE
#define USES_VALUE 0
#endif

/* Parts of SUMS: `when` is before (the step), during (it, for the next one), or between: before the step, too, but
 * after the numbers of lines have been updated; `over` is row, or array: each of the arrays, and all of them together,
 * or line: each row and each column of matrices. Each macro keeps what is given to it for one part. */
enum { FO_WHEN_before, FO_WHEN_between, FO_WHEN_during };
#define FO_BEFORE(when, over, ...) FO_BEFORE_##when##_##over(__VA_ARGS__)
#define FO_BEFORE_before_array(...) __VA_ARGS__
#define FO_BEFORE_before_row(...)
#define FO_BEFORE_before_line(...)
#define FO_BEFORE_between_array(...)
#define FO_BEFORE_during_array(...)
#define FO_ROW(when, over, ...) FO_ROW_##when##_##over(__VA_ARGS__)
#define FO_ROW_before_array(...)
#define FO_ROW_before_row(...) __VA_ARGS__
#define FO_ROW_before_line(...)
#define FO_ROW_between_array(...)
#define FO_ROW_during_array(...)
#define FO_DURING(when, over, ...) FO_DURING_##when##_##over(__VA_ARGS__)
#define FO_DURING_before_array(...)
#define FO_DURING_before_row(...)
#define FO_DURING_before_line(...)
#define FO_DURING_between_array(...)
#define FO_DURING_during_array(...) __VA_ARGS__
#define FO_LINE(when, over, ...) FO_LINE_##when##_##over(__VA_ARGS__)
#define FO_LINE_before_array(...)
#define FO_LINE_before_row(...)
#define FO_LINE_before_line(...) __VA_ARGS__
#define FO_LINE_between_array(...)
#define FO_LINE_during_array(...)
#define FO_COUNT_BEFORE_ARRAY(name, when, over) FO_BEFORE(when, over, +1)
#define FO_COUNT_BEFORE_ROW(name, when, over) FO_ROW(when, over, +1)
#define FO_COUNT_LINE(name, when, over) FO_LINE(when, over, +1)
#define FO_COUNT_DURING(name, when, over) FO_DURING(when, over, +1)
#define FO_COUNT_SLOT(name, options, initial) +1
#define N_BEFORE (0 SUMS(FO_COUNT_BEFORE_ARRAY))
#define N_ROW_SUMS (0 SUMS(FO_COUNT_BEFORE_ROW))
#define N_LINE_SUMS (0 SUMS(FO_COUNT_LINE))
#define N_DURING (0 SUMS(FO_COUNT_DURING))
#define BY_ROWS (N_ROW_SUMS + (0 ROW_SLOTS(FO_COUNT_SLOT)) > 0)
#define BY_LINES (N_LINE_SUMS > 0)
#define COUPLES (N_BEFORE + N_DURING > 0 || ORTHOGONALISES)   /* see fo_couples */

#define FO_SUM_FIELD(name, when, over) fo_sum name;
#define FO_SUM_INDEX(name, when, over) FO_SUM_##name,
#define FO_KEPT_SUM_INDEX(name, when, over) FO_DURING(when, over, FO_SLOT_##name, )

typedef struct {
    HYPER(FO_DOUBLE)
} hyper;
typedef struct {
    COEF(FO_DOUBLE)
} coefs;
typedef struct {
    CARRY(FO_CARRIED) double end;
} carried;
typedef struct {                 /* in the order of SUMS, in which those before the step come first */
    SUMS(FO_SUM_FIELD) fo_sum end;
} sums;
typedef struct {                 /* the numbers that an array has */
    ARRAY_SLOTS(FO_SLOT_DOUBLE) double end;
} array_numbers;
enum { OPTIONS(FO_OPTION_INDEX) FO_N_OPTIONS };
enum { OPTIONS(FO_OPTION_BIT) always = 0 };
enum { SUMS(FO_SUM_INDEX) FO_N_SUMS };
enum { ALL_SLOTS(FO_SLOT_INDEX) LINE_SLOTS(FO_LINE_SLOT_INDEX) SUMS(FO_KEPT_SUM_INDEX) FO_N_SLOTS };

/* What prepare() is told about the step; adjust() is, too, for one array. */
typedef struct {
    double learning_rate;
    int64_t t;                   /* number of the step, from 1 */
    double value;                /* of the objective, with USES_VALUE */
    carried *carry;              /* read and updated; NULL for adjust() */
    const sums *sum;             /* over all arrays; those during the last step are zero in the first one */
    int measured;                /* 0: those before the step are still to be taken, and zero */
    ptrdiff_t size;              /* of the array, in entries */
    ptrdiff_t rows, columns;     /* of its matrices */
} step_inputs;
