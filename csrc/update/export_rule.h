/* export_rule.h -- the kernels of a rule in every variant, and its entry for the table in core/dispatch.c.
 *
 * Comes last in a rule file: the loops include the file's own update, and the entry names its prepare(). */

#define FO_COUNT(name) + 1
#if (0 OPTIONS(FO_COUNT)) == 0
#define FO_FORMS(X) X(0) X(1)
#elif (0 OPTIONS(FO_COUNT)) == 1
#define FO_FORMS(X) X(0) X(1) X(2) X(3)
#elif (0 OPTIONS(FO_COUNT)) == 2
#define FO_FORMS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#else
#error "a rule may have two options: more forms are wanted here"
#endif

#include "update/positions.h"
#include "update/storage.h"
#define FO_TEMPLATE "update/drivers_tmpl.h"
#include "core/variants.h"

#define FO_NAME(name) #name,
#define FO_CARRY_NAME(name, first) #name,
#define FO_CARRY_START(name, first) start.name = first;
#define FO_STARTS_AT_ZERO(initial) (sizeof #initial == 2 && #initial[0] == '0')
#define FO_SLOT(name, options, initial) {#name, options, FO_STARTS_AT_ZERO(initial), 0},
#define FO_KEPT(name, options, initial) {#name, options, FO_STARTS_AT_ZERO(initial), 1},

static const char *const hyper_names[] = {HYPER(FO_NAME) NULL};
static const char *const option_names[] = {OPTIONS(FO_NAME) NULL};
static const char *const carry_names[] = {CARRY(FO_CARRY_NAME) NULL};
static const fo_slot slots[] = {SLOTS(FO_SLOT) KEPT(FO_KEPT){NULL, 0, 0, 0}};

_Static_assert(sizeof(hyper) <= FO_MAX_HYPER * sizeof(double), "raise FO_MAX_HYPER");
_Static_assert(sizeof(coefs) <= FO_MAX_COEFS * sizeof(double), "raise FO_MAX_COEFS");
_Static_assert(sizeof(carried) - sizeof(double) <= FO_MAX_CARRY * sizeof(double), "raise FO_MAX_CARRY");
_Static_assert((int)FO_N_SLOTS <= (int)FO_MAX_SLOTS, "raise FO_MAX_SLOTS");

static void start_carry(double *values)
{
    carried start;
    start.end = 0.0;
    CARRY(FO_CARRY_START)
    memcpy(values, &start, sizeof start - sizeof start.end);
}

static void prepare_step(const double *hyper_values, double learning_rate, int64_t t, double *carry_values,
                         double *coef_values)
{
    hyper h;
    coefs c;
    carried carry = {0};
    const step_inputs step = {learning_rate, t, &carry};
    memcpy(&h, hyper_values, sizeof h);
    memcpy(&carry, carry_values, sizeof carry - sizeof carry.end);
    prepare(&h, &step, &c);
    memcpy(carry_values, &carry, sizeof carry - sizeof carry.end);
    memcpy(coef_values, &c, sizeof c);
}

/* Rules of which nothing else is known may move the parameter on a zero gradient, momentum being the reason. */
#ifndef ZERO_GRADIENT
#define ZERO_GRADIENT(form) FO_MOVES
#endif
static fo_zero_gradient zero_gradient(int form)
{
    (void)form;
    return ZERO_GRADIENT(form);
}

FO_KERNEL_TABLE(const fo_rule_kernels);

const fo_rule FO_PASTE(FO_PASTE(fo_, RULE), _rule) = {
    .name = FO_STRING(RULE),
    .hyper = hyper_names,
    .options = option_names,
    .carry = carry_names,
    .slots = slots,
    .own_weight_decay = OWN_WEIGHT_DECAY,
    .start = start_carry,
    .prepare = prepare_step,
    .zero_gradient = zero_gradient,
    .kernels = kernel_table,
};
