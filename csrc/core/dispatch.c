/* dispatch.c -- the tables of rules and losses, and which instruction set runs them.
 *
 * The instruction set is chosen once, when the package is imported; afterwards only tests change it. */
#include <string.h>
#include "fastopt.h"
#include "finite_sum/objective.h"   /* for the table of losses: the only header from above core/ */
#include "core/variants.h"

#define RULE(name) extern const fo_rule fo_##name##_rule;
#include "rules/rules.def"
#undef RULE
#define RULE(name) &fo_##name##_rule,
const fo_rule *const fo_rules[] = {
#include "rules/rules.def"
    NULL};
#undef RULE

#define LOSS(name) extern const fo_loss fo_##name##_loss;
#include "losses/losses.def"
#undef LOSS
#define LOSS(name) &fo_##name##_loss,
const fo_loss *const fo_losses[] = {
#include "losses/losses.def"
    NULL};
#undef LOSS

const fo_rule *fo_find_rule(const char *name)
{
    const fo_rule *const *each = fo_rules;
    while (*each && strcmp((*each)->name, name) != 0)
        ++each;
    return *each;
}

const fo_loss *fo_find_loss(const char *name)
{
    const fo_loss *const *each = fo_losses;
    while (*each && strcmp((*each)->name, name) != 0)
        ++each;
    return *each;
}

#define NAME_OF(isa) #isa,
static const char *const isa_names[] = {FO_FOR_EACH_ISA(NAME_OF) NULL};

#define NUMPY_NAME(dtype, unused) FO_NUMPY_NAME_##dtype,
static const char *const dtype_names[] = {FO_FOR_EACH_DTYPE(NUMPY_NAME, unused) NULL};
#define ITEMSIZE(dtype, unused) sizeof(FO_REAL_##dtype),
static const size_t itemsizes[] = {FO_FOR_EACH_DTYPE(ITEMSIZE, unused)};
enum { N_DTYPES = sizeof dtype_names / sizeof dtype_names[0] - 1 };

/* The builtin also asks whether the operating system saves the wide registers. */
static int supports_baseline(void) { return 1; }
#ifdef FO_X86_LEVELS
static int supports_v3(void) { return FO_V3_FEATURES(__builtin_cpu_supports, &&); }
static int supports_v4(void) { return FO_V4_FEATURES(__builtin_cpu_supports, &&); }
#endif

#define SUPPORTS(isa) supports_##isa,
static int (*const isa_supported[])(void) = {FO_FOR_EACH_ISA(SUPPORTS)};

static int isa_in_use = 0;

const char *fo_isa_name(int isa) { return isa_names[isa]; }
const char *fo_dtype_name(int dtype) { return dtype_names[dtype]; }
int fo_isa_supported(int isa) { return isa_supported[isa](); }
int fo_isa_in_use(void) { return isa_in_use; }
void fo_use_isa(int isa) { isa_in_use = isa; }

const char *fo_compiler(void)
{
#if defined(__clang__)
    return __VERSION__;
#elif defined(__GNUC__)
    return "GCC " __VERSION__;
#elif defined(_MSC_VER)
    return "MSVC " FO_STRING(_MSC_VER);
#else
    return "unknown";
#endif
}

size_t fo_itemsize(int dtype) { return itemsizes[dtype]; }
#define DECODES(isa) FO_DECODES_##isa,
static const int decodes[] = {FO_FOR_EACH_ISA(DECODES)};
int fo_kernels_decode(void) { return decodes[isa_in_use]; }

int fo_variant_index(int dtype) { return isa_in_use * N_DTYPES + dtype; }

const fo_rule_kernels *fo_kernels_of(const fo_rule *rule, int dtype) { return rule->kernels[fo_variant_index(dtype)]; }
