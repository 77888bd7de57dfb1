/* blas.h -- what csrc needs of BLAS, by the functions' addresses: it links to none. Arguments are as in Fortran. */
#ifndef FO_BLAS_H
#define FO_BLAS_H

#define FO_BLAS_FUNCTIONS(real_type) \
    void (*syrk)(char *uplo, char *trans, int *n, int *k, real_type *alpha, real_type *a, int *lda, \
                 real_type *beta, real_type *c, int *ldc); \
    void (*symm)(char *side, char *uplo, int *m, int *n, real_type *alpha, real_type *a, int *lda, \
                 real_type *b, int *ldb, real_type *beta, real_type *c, int *ldc);

typedef struct {
    FO_BLAS_FUNCTIONS(float)
} fo_blas_f32;
typedef struct {
    FO_BLAS_FUNCTIONS(double)
} fo_blas_f64;
typedef struct {                 /* by the names of dtypes in core/variants.h */
    fo_blas_f32 f32;
    fo_blas_f64 f64;
} fo_blas;

/* core/blas.c: set once, by fastopt/_blas.pyx, before a rule that needs it is bound. */
extern fo_blas fo_blas_in_use;
int fo_has_blas(void);
void fo_use_blas(const fo_blas *blas);

#endif
