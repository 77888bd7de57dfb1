/* blas.c -- the BLAS that somebody else has loaded. */
#include "core/blas.h"

fo_blas fo_blas_in_use;

int fo_has_blas(void) { return fo_blas_in_use.f32.syrk != 0; }

void fo_use_blas(const fo_blas *blas) { fo_blas_in_use = *blas; }
