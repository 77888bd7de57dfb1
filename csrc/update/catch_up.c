/* catch_up.c -- the history of catch_up.h: steps are added, the maps of rests are multiplied, rows that are behind are
 * found. No memory is allocated here. */
#include <string.h>
#include "update/catch_up.h"
#include "core/atomics.h"
#include "core/powers.h"
#include "core/subnormals.h"
#include "core/variants.h"

static const double log_2 = 0.69314718055994531;

static ptrdiff_t n_slots(const fo_rule *rule)
{
    ptrdiff_t n = 0;
    while (rule->slots[n].name && !rule->slots[n].kept)
        ++n;
    return n;
}

static ptrdiff_t map_size(const fo_rule *rule)
{
    const ptrdiff_t side = 1 + n_slots(rule);
    return rule->rest == FO_LINEAR ? side * side : 2 * side;
}

size_t fo_map_bytes(const fo_rule *rule) { return (size_t)map_size(rule) * sizeof(double); }

size_t fo_past_bytes(const fo_rule *rule, int dtype)
{
    return rule->rest == FO_FADES ? fo_kernels_of(rule, dtype)->past_bytes : 0;
}

static int is_float(int dtype) { return fo_itemsize(dtype) == sizeof(float); }

/* The number of terms, each `ratio` times the one before it, that show beside their sum: more than half a unit in the
 * last place. */
static int64_t terms_of(double ratio, int dtype)
{
    const int digits = is_float(dtype) ? 24 : 53;
    if (!(ratio > 0.0))
        return 1;
    const double n = (double)digits * log_2 / -logarithm(ratio);
    return n < 1e15 ? (int64_t)n + 1 : INT64_MAX;   /* not so for NaN and below 0: a ratio of 1 and more */
}

/* --- maps ------------------------------------------------------------------------------------------------------- */

static int trailing_zeros(uint64_t n)
{
    int count = 0;
    for (; !(n & 1); n >>= 1)
        ++count;
    return count;
}

static int ones(uint64_t n)
{
    int count = 0;
    for (; n; n &= n - 1)
        ++count;
    return count;
}

/* Where the maps that end with the n-th step begin: each step before it has left one for each power of 2 that divides
 * its number. */
static ptrdiff_t place_of(ptrdiff_t n) { return 2 * (n - 1) - ones((uint64_t)(n - 1)); }

static double *map_at(const fo_history *history, ptrdiff_t place)
{
    return history->maps + place * map_size(history->rule);
}

/* The map of some steps, and then of others, into `both`, which is neither. */
static void compose(const fo_rule *rule, const double *first, const double *second, double *both)
{
    const ptrdiff_t side = 1 + n_slots(rule);
    if (rule->rest == FO_FADES) {
        for (ptrdiff_t k = 0; k < 2 * side; k += 2) {
            both[k] = second[k] * first[k];
            both[k + 1] = second[k] * first[k + 1] + second[k + 1];
        }
        return;
    }
    for (ptrdiff_t i = 0; i < side; ++i)
        for (ptrdiff_t j = 0; j < side; ++j) {
            double sum = 0.0;
            for (ptrdiff_t k = 0; k < side; ++k)
                if (second[i * side + k] != 0.0 && first[k * side + j] != 0.0)   /* 0 of a state that overflows */
                    sum += second[i * side + k] * first[k * side + j];
            both[i * side + j] = sum;
        }
}

/* Blocks of 2^level steps, as large as they fit, from the first step on. */
static void multiply(const fo_history *history, ptrdiff_t from, ptrdiff_t to, double *map)
{
    const size_t bytes = fo_map_bytes(history->rule);
    double product[FO_MAX_MAP];
    for (int begun = 0; from < to; begun = 1) {
        int level = 0;
        while (((from >> level) & 1) == 0 && from + ((ptrdiff_t)2 << level) <= to)
            ++level;
        from += (ptrdiff_t)1 << level;
        const double *block = map_at(history, place_of(from) + level);
        if (begun)
            compose(history->rule, map, block, product);
        memcpy(map, begun ? product : block, bytes);
    }
}

const double *fo_map_between(const fo_history *history, int64_t from, int64_t to, fo_rests *rests)
{
    const int slot = (int)(from % FO_RESTS_KEPT);
    const ptrdiff_t first = (ptrdiff_t)(from - history->start), last = (ptrdiff_t)(to - history->start);
    if (rests->from[slot] != from) {
        multiply(history, first, last, rests->map[slot]);
        rests->from[slot] = from;
    }
    return rests->map[slot];
}

/* --- steps ------------------------------------------------------------------------------------------------------ */

/* Entry k of an array of a dtype. */
static double load(int dtype, const void *array, ptrdiff_t k)
{
    return is_float(dtype) ? (double)((const float *)array)[k] : ((const double *)array)[k];
}

static void store_one(int dtype, void *array, ptrdiff_t k)
{
    if (is_float(dtype))
        ((float *)array)[k] = 1.0f;
    else
        ((double *)array)[k] = 1.0;
}

/* The matrix of a linear step: column j is what becomes of entry j, in which the j-th of parameter and slots is 1. */
static void probe(const fo_history *history, const fo_step *step, double *map)
{
    const int dtype = history->dtype;
    const fo_rule *rule = history->rule;
    const ptrdiff_t side = 1 + n_slots(rule);
    double unit[FO_MAX_SLOTS + 1][FO_MAX_SLOTS + 1] = {{0.0}}, zeros[FO_MAX_SLOTS + 1] = {0.0};
    fo_array array = {.size = side, .dtype = dtype, .param = unit[0], .grad = zeros, .row_width = 1};
    for (ptrdiff_t k = 0; k < side; ++k)
        store_one(dtype, unit[k], k);
    for (int k = 0; rule->slots[k].name; ++k)
        if ((rule->slots[k].options & history->form) == rule->slots[k].options)
            array.state[k] = unit[k + 1];
    fo_kernels_of(rule, dtype)->dense[history->form | FO_MODIFIED](&array, step, 0, side);
    for (ptrdiff_t row = 0; row < side; ++row)
        for (ptrdiff_t k = 0; k < side; ++k)
            map[row * side + k] = load(dtype, unit[row], k);
}

static void note_ratio(fo_history *history, double ratio)
{
    history->largest_ratio = ratio;
    history->terms = terms_of(ratio, history->dtype);
}

void fo_forget_steps(fo_history *history)
{
    fo_show_wide(&history->start, fo_present(history));
    fo_show_size(&history->n, 0);
}

/* The maps that end with the n-th step. */
static void add_maps(fo_history *history, const fo_step *step)
{
    const fo_rule *rule = history->rule;
    const fo_rule_kernels *kernels = fo_kernels_of(rule, history->dtype);
    const ptrdiff_t n = history->n, place = place_of(n);
    if (rule->rest == FO_LINEAR)
        probe(history, step, map_at(history, place));
    else {
        kernels->rest_map(step, map_at(history, place));
        kernels->remember(step, history->past, n - 1);
    }
    for (int level = 1; level <= trailing_zeros((uint64_t)n); ++level) {
        const ptrdiff_t before = place_of(n - ((ptrdiff_t)1 << (level - 1))) + level - 1;
        compose(rule, map_at(history, before), map_at(history, place + level - 1), map_at(history, place + level));
    }
}

void fo_remember_step(fo_history *history, const fo_step *step, const double *hyper)
{
    const fo_rule *rule = history->rule;
    const double ratio = rule->rest == FO_FADES ? rule->rest_ratio(hyper, history->form) : 0.0;
    const fo_fp_mode mode = fo_zero_subnormals();
    fo_show_size(&history->n, history->n + 1);
    history->by_root = (history->n == 1 || history->by_root) && isfinite(step->grad_scale) && rule->rests_by_root
                    && rule->rests_by_root(hyper, history->form);
    if (history->n == 1 || ratio > history->largest_ratio)
        note_ratio(history, ratio);
    add_maps(history, step);
    fo_restore_fp_mode(mode);
}

/* --- rows ------------------------------------------------------------------------------------------------------- */

ptrdiff_t fo_claim_rows(const fo_array *array, const void *index, int index64, ptrdiff_t n, int64_t *behind)
{
    const int64_t present = fo_present(array->history);
    ptrdiff_t count = 0;
    for (ptrdiff_t k = 0; k < n; ++k) {
        const ptrdiff_t row = load_index(index, index64, k);
        if (array->last_step[row] >= 0 && array->last_step[row] < present) {
            behind[count++] = row;
            array->last_step[row] = ~array->last_step[row];
        }
    }
    return count;
}
