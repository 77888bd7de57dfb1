/* export_rule.h -- the kernels of a rule in every variant, and its entry for the table in core/dispatch.c.
 *
 * Comes last in a rule file: the loops include the file's own update, and the entry names its prepare(). */

#define FO_COUNT(name) + 1
#if (0 OPTIONS(FO_COUNT)) == 0
#define FO_FORMS(X) X(0) X(1)
#define FO_OPTION_FORMS(X) X(0)
#elif (0 OPTIONS(FO_COUNT)) == 1
#define FO_FORMS(X) X(0) X(1) X(2) X(3)
#define FO_OPTION_FORMS(X) X(0) X(2)
#elif (0 OPTIONS(FO_COUNT)) == 2
#define FO_FORMS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define FO_OPTION_FORMS(X) X(0) X(2) X(4) X(6)
#else
#error "a rule may have two options: more forms are wanted here"
#endif

#include "update/catch_up.h"
#include "update/codes.h"
#include "update/lines.h"
#include "update/orthogonal.h"
#include "update/positions.h"
#define FO_AS_MOMENT(name) [FO_SLOT_##name] = FO_MOMENT,
#define FO_AS_SECOND_MOMENT(name) [FO_SLOT_##name] = FO_SECOND_MOMENT,
static const fo_content content[] = {MOMENTS(FO_AS_MOMENT)
                                         SECOND_MOMENTS(FO_AS_SECOND_MOMENT)[FO_MAX_SLOTS] = FO_WHOLE};

#define FO_TEMPLATE "update/drivers_tmpl.h"
#include "core/variants.h"

#define FO_NAME(name) #name,
#define FO_CARRY_NAME(name, first) #name,
#define FO_CARRY_START(name, first) start.name = first;
#define FO_STARTS_AT_ZERO(initial) (sizeof #initial == 2 && #initial[0] == '0')
#define FO_SLOT(name, options, initial) {#name, options, FO_PER_ENTRY, FO_STARTS_AT_ZERO(initial), 0},
#define FO_KEPT(name, options, initial) {#name, options, FO_PER_ENTRY, FO_STARTS_AT_ZERO(initial), 1},
#define FO_ROW_SLOT(name, options, initial) {#name, options, FO_PER_ROW, FO_STARTS_AT_ZERO(initial), 0},
#define FO_ARRAY_SLOT(name, options, initial) {#name, options, FO_PER_ARRAY, FO_STARTS_AT_ZERO(initial), 0},
#define FO_MATRIX_ROW_SLOT(name) {#name, 0, FO_PER_MATRIX_ROW, 1, 0},
#define FO_MATRIX_COLUMN_SLOT(name) {#name, 0, FO_PER_MATRIX_COLUMN, 1, 0},
#define FO_COUNT_LINE_SLOT(name) +1
#define FO_COUNT_DECAY(name, rate) +1
#define FO_KEPT_SUM(name, when, over) FO_DURING(when, over, {#name, 0, FO_SUM_PER_ARRAY, 1, 0}, )

static const char *const hyper_names[] = {HYPER(FO_NAME) NULL};
static const char *const option_names[] = {OPTIONS(FO_NAME) NULL};
static const char *const carry_names[] = {CARRY(FO_CARRY_NAME) NULL};
static const fo_slot slots[] = {SLOTS(FO_SLOT) KEPT(FO_KEPT) ROW_SLOTS(FO_ROW_SLOT) ARRAY_SLOTS(FO_ARRAY_SLOT)
                                    MATRIX_ROW_SLOTS(FO_MATRIX_ROW_SLOT) MATRIX_COLUMN_SLOTS(FO_MATRIX_COLUMN_SLOT)
                                        SUMS(FO_KEPT_SUM){NULL, 0, FO_PER_ENTRY, 0, 0}};

_Static_assert(sizeof(hyper) <= FO_MAX_HYPER * sizeof(double), "raise FO_MAX_HYPER");
_Static_assert(sizeof(coefs) <= FO_MAX_COEFS * sizeof(double), "raise FO_MAX_COEFS");
_Static_assert(sizeof(carried) - sizeof(double) <= FO_MAX_CARRY * sizeof(double), "raise FO_MAX_CARRY");
_Static_assert((int)FO_N_SLOTS <= (int)FO_MAX_SLOTS, "raise FO_MAX_SLOTS");
_Static_assert((0 ENTRY_SLOTS(FO_COUNT_SLOT)) + 1 <= (int)FO_MAX_STREAMS, "raise FO_MAX_STREAMS");
_Static_assert(N_BEFORE + N_DURING <= (int)FO_MAX_SUMS, "raise FO_MAX_SUMS");
_Static_assert((int)FO_N_SUMS <= (int)FO_MAX_SUMS, "raise FO_MAX_SUMS");
_Static_assert(N_LINE_SUMS <= 1 && (0 MATRIX_ROW_SLOTS(FO_COUNT_LINE_SLOT)) == N_LINE_SUMS
                   && (0 MATRIX_COLUMN_SLOTS(FO_COUNT_LINE_SLOT)) == N_LINE_SUMS,
               "a rule has one sum over lines, a slot for rows and one for columns, or none of them");
_Static_assert(!BY_LINES || (N_DURING == 0 && !BY_ROWS),
               "a rule with sums over lines has none over rows or during steps");
_Static_assert(!BY_ROWS || N_BEFORE + N_DURING == 0, "a rule has sums over rows or over arrays");

_Static_assert((0 MOMENTS(FO_COUNT_LINE_SLOT) SECOND_MOMENTS(FO_COUNT_LINE_SLOT)) == 0 || !BY_LINES,
               "a rule with sums over lines has no slots that are stored in fewer bits: its loops know of no views");
_Static_assert((0 SECOND_MOMENTS(FO_COUNT_LINE_SLOT)) == 0 || !BY_ROWS,
               "blocks of a second moment end in the middle of a row");
_Static_assert(!ORTHOGONALISES || (FO_N_SUMS == 0 && !BY_ROWS), "a rule has sums, or makes directions orthogonal");

static void start_carry(double *values)
{
    carried start;
    start.end = 0.0;
    CARRY(FO_CARRY_START)
    memcpy(values, &start, sizeof start - sizeof start.end);
}

static step_inputs inputs_of(const fo_inputs *in, hyper *h, sums *total)
{
    const step_inputs step = {in->learning_rate, in->t, in->value, NULL, total, in->sums != NULL, 0, 0, 0};
    memset(total, 0, sizeof *total);
    if (in->sums)
        memcpy(total, in->sums->sum, sizeof *total - sizeof total->end);
    memcpy(h, in->hyper, sizeof *h);
    return step;
}

#define FO_TIMES_FACTOR(name) *c.name
#define FO_TIMES_REST(name, rate) *(1.0 - c.name * c.rate)
static double prepare_step(const fo_inputs *in, double *carry_values, double *coef_values)
{
    hyper h;
    coefs c;
    sums total;
    carried carry = {0};
    step_inputs step = inputs_of(in, &h, &total);
    step.carry = &carry;
    memcpy(&carry, carry_values, sizeof carry - sizeof carry.end);
    prepare(&h, &step, &c);
    memcpy(carry_values, &carry, sizeof carry - sizeof carry.end);
    memcpy(coef_values, &c, sizeof c);
    return 1.0 DECAY_FACTORS(FO_TIMES_FACTOR) DECAY_AMOUNTS(FO_TIMES_REST);
}

/* A rule with scalars of its own for each array has adjust(hyper, step, sums of the array, its numbers, scalars). */
#ifdef ADJUSTS
#define FO_LOAD_NUMBER(name, options, initial) \
    if (array->state[FO_SLOT_##name]) numbers.name = *(const double *)array->state[FO_SLOT_##name];
#define FO_SAVE_NUMBER(name, options, initial) \
    if (array->state[FO_SLOT_##name]) *(double *)array->state[FO_SLOT_##name] = numbers.name;
static void adjust_step(const fo_inputs *in, const fo_array *array, double *coef_values)
{
    hyper h;
    coefs c;
    sums total, own = {0};
    array_numbers numbers = {0};
    step_inputs step = inputs_of(in, &h, &total);
    step.size = array->size;
    step.rows = array->rows;
    step.columns = array->columns;
    memcpy(&own, array->own->sums.sum, sizeof own - sizeof own.end);
    memcpy(&c, coef_values, sizeof c);
    ARRAY_SLOTS(FO_LOAD_NUMBER)
    adjust(&h, &step, &own, &numbers, &c);
    ARRAY_SLOTS(FO_SAVE_NUMBER)
    memcpy(coef_values, &c, sizeof c);
}
#else
#define adjust_step NULL
#endif

/* A rule with sums between has settle(hyper, sums of the array, its entries, scalars). */
#ifdef SETTLES
#ifndef ADJUSTS
#error "a rule that settles the scalars of arrays adjusts them first"
#endif
static void settle_step(const double *hyper_values, const fo_array *array, double *coef_values)
{
    hyper h;
    coefs c;
    sums own = {0};
    memcpy(&h, hyper_values, sizeof h);
    memcpy(&own, array->own->sums.sum, sizeof own - sizeof own.end);
    memcpy(&c, coef_values, sizeof c);
    settle(&h, &own, array->size, &c);
    memcpy(coef_values, &c, sizeof c);
}
#else
#define settle_step NULL
#endif

/* Rules of which nothing else is known may move the parameter on a zero gradient, momentum being the reason. */
#ifndef ZERO_GRADIENT
#define ZERO_GRADIENT(form) FO_MOVES
#endif
static fo_zero_gradient zero_gradient(int form)
{
    (void)form;
    return ZERO_GRADIENT(form);
}

/* How rests are made up for: RESTS_LINEAR, or FADES and RESTS with rest_ratio(); see catch_up.h. */
#if defined(RESTS_LINEAR)
#define REST FO_LINEAR
#define rest_ratio_of NULL
#elif defined(FADES)
#define REST FO_FADES
static double rest_ratio_of(const double *hyper_values, int form)
{
    hyper h;
    memcpy(&h, hyper_values, sizeof h);
    return rest_ratio(&h, form);
}
#else
#define REST FO_NO_REST
#define rest_ratio_of NULL
#endif

/* A rule may have rest(), a step without a gradient of entries for which REST_BY_ROOT holds: it is given the root of
 * what update() divides by, which rest_root() takes once. */
#ifdef REST_BY_ROOT
static int rests_by_root_of(const double *hyper_values, int form)
{
    hyper values, *h = &values;
    (void)form;
    memcpy(h, hyper_values, sizeof values);
    return REST_BY_ROOT;
}
#else
#define rests_by_root_of NULL
#endif

FO_KERNEL_TABLE(const fo_rule_kernels);

const fo_rule FO_PASTE(FO_PASTE(fo_, RULE), _rule) = {
    .name = FO_STRING(RULE),
    .hyper = hyper_names,
    .options = option_names,
    .carry = carry_names,
    .slots = slots,
    .content = content,
    .own_weight_decay = OWN_WEIGHT_DECAY,
    .has_decay = (0 DECAY_FACTORS(FO_COUNT) DECAY_AMOUNTS(FO_COUNT_DECAY)) > 0,
    .sums_before = N_BEFORE,
    .sums_during = N_DURING,
    .sums_of_gradients = SUMS_OF_GRADIENTS,
    .by_rows = BY_ROWS,
    .by_lines = BY_LINES,
    .orthogonalises = ORTHOGONALISES,
    .uses_value = USES_VALUE,
    .start = start_carry,
    .prepare = prepare_step,
    .adjust = adjust_step,
    .settle = settle_step,
    .zero_gradient = zero_gradient,
    .rest = REST,
    .rests_with_l2 = RESTS_WITH_L2,
    .rest_ratio = rest_ratio_of,
    .rests_by_root = rests_by_root_of,
    .kernels = kernel_table,
};
