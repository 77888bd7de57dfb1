/* sums_tmpl.h -- what a rule sums: the factors of one entry, and a stage of entries whose products are added up.
 *
 * A rule says in measure(), before the step, or in update(), during it, which products an entry adds:
 * PRODUCT(name, x, y). */
#define FACTORS(name, when, over) real name##_x, name##_y;
#define STAGE_FACTORS(name, when, over) real name##_x[STAGED], name##_y[STAGED];
#define ADD_STAGED(name, when, over) \
    if (pass == FO_WHEN_##when) \
        into->sum[FO_SUM_##name] = fo_add(into->sum[FO_SUM_##name], \
                                          FN(sum_products)(stage->name##_x, stage->name##_y, n));

typedef struct {
    SUMS(FACTORS) char end;
} FN(factors);
typedef struct {
    SUMS(STAGE_FACTORS) char end;
} FN(stage);

#if N_BEFORE + N_ROW_SUMS + N_DURING > 0
/* Adds the first n entries of a stage to the sums that are taken in this pass, which is one of FO_WHEN_... */
FO_INLINE void FN(add_stage)(const FN(stage) *stage, ptrdiff_t n, fo_sums *into, const int pass) { SUMS(ADD_STAGED); }
#endif

#if N_DURING > 0
#define FACTORS_ARGUMENT , &factors
#else
#define FACTORS_ARGUMENT
#endif

#undef FACTORS
#undef STAGE_FACTORS
#undef ADD_STAGED
