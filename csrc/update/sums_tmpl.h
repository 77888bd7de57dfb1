/* sums_tmpl.h -- what a rule sums: the factors of one entry, and the lanes to which their products are added.
 *
 * A rule says in measure(), before the step, or in update(), during it, which products an entry adds:
 * PRODUCT(name, x, y). `pass` is the FO_WHEN_... of the sums that are taken. */
#define FACTORS(name, when, over) real name##_x, name##_y;
#define LOAD_LANES(name, when, over) \
    if (pass == FO_WHEN_##when) \
        memcpy(lanes->sum[FO_SUM_##name], from->sum[FO_SUM_##name], sizeof lanes->sum[FO_SUM_##name]);
#define SAVE_LANES(name, when, over) \
    if (pass == FO_WHEN_##when) \
        memcpy(to->sum[FO_SUM_##name], lanes->sum[FO_SUM_##name], sizeof lanes->sum[FO_SUM_##name]);

/* In the loops: adds a product of `factors` to lane k of `lanes`. */
#define ADD_PRODUCT(name, k) FN(add_product)(lanes->sum[FO_SUM_##name], k, factors.name##_x, factors.name##_y);

typedef struct {
    SUMS(FACTORS) char end;
} FN(factors);

/* Local to a loop, so that a compiler can keep them in registers. */
typedef struct {
    double sum[FO_N_SUMS > 0 ? FO_N_SUMS : 1][FN(scales)][LANES];
} FN(lanes);

#if N_BEFORE + N_ROW_SUMS + N_DURING > 0
FO_INLINE void FN(load_lanes)(FN(lanes) *lanes, const fo_lanes *from, const int pass){SUMS(LOAD_LANES)}

FO_INLINE void FN(save_lanes)(const FN(lanes) *lanes, fo_lanes *to, const int pass){SUMS(SAVE_LANES)}
#endif

#if N_DURING > 0
#define FACTORS_ARGUMENT , &factors
#else
#define FACTORS_ARGUMENT
#endif

#undef FACTORS
#undef LOAD_LANES
#undef SAVE_LANES
