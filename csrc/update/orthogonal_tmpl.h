/* orthogonal_tmpl.h -- the kernels of a rule that makes directions orthogonal: for one entry it has direct(), its
 * direction, and update(), which is given the orthogonal direction as the gradient. Its scalars have the coefficients
 * ns_a, ns_b and ns_c of the Newton-Schulz iteration, the number of its steps, ns_steps, and the least norm, epsilon.
 *
 * An iteration takes x to (a + b A + c A^2) x with A = x x', of the shorter side. Products of BLAS write one triangle
 * of what is symmetric, which takes half the operations. To BLAS, whose matrices lie column by column, x is its own
 * transpose; A is the same. */

/* The entries [first, first + count), count <= LANES: their directions, and the squares of these, each in a lane. */
FO_INLINE void FN(direct_lanes)(FN(streams) stream, ptrdiff_t first, ptrdiff_t count, real *x, const FN(coefs) *c,
                                const FN(modifiers) *modifiers, double (*lanes)[LANES], const int form)
{
    ENTRY_SLOTS(BIND)
    FO_SIMD
    for (int k = 0; k < count; ++k) {
        const ptrdiff_t i = first + k;
        real p = stream.p[i], g = stream.g[i];
        ENTRY_SLOTS(LOAD)
        if (form & FO_MODIFIED)
            g = FN(modify)(&p, g, modifiers);   /* p itself stays: the update is to come */
        const real direction = FN(direct)(g SLOTS(ARGUMENT) KEPT(VALUE), c, form);
        x[i] = direction;
        SLOTS(SAVE)
        FN(add_product)(lanes, k, direction, direction);
    }
}

FO_INLINE void FN(direct_range)(const fo_array *array, const fo_step *step, ptrdiff_t n, real *x, const int form)
{
    const FN(coefs) c = FN(round)(step);
    const FN(modifiers) modifiers = FN(modifiers_of)(step);
    const FN(streams) stream = FN(streams_of)(array);
    double lanes[FN(scales)][LANES];
    ptrdiff_t i = 0;
    memcpy(lanes, step->lanes->sum[0], sizeof lanes);
    for (; i + LANES <= n; i += LANES)
        FN(direct_lanes)(stream, i, LANES, x, &c, &modifiers, lanes, form);
    FN(direct_lanes)(stream, i, n - i, x, &c, &modifiers, lanes, form);
    memcpy(step->lanes->sum[0], lanes, sizeof lanes);
}

static void FN(scale)(void *memory, ptrdiff_t n, double first, double second)
{
    real *x = memory;
    FO_SIMD
    for (ptrdiff_t i = 0; i < n; ++i)
        x[i] = (real)(x[i] * first * second);
}

static double FN(least)(const fo_step *step)
{
    coefs exact;
    memcpy(&exact, step->coef, sizeof exact);
    return exact.epsilon;
}

/* A symmetric matrix of which the lower triangle is there, and another one for a copy of it. */
typedef struct {
    real *gram, *polynomial;
    ptrdiff_t n;
} FN(square);

/* Blocks of columns [lo, hi) and those as far from the other end, as columns differ in length: the upper triangle is
 * filled in, and the lower one copied. */
static void FN(complete)(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const FN(square) *it = context;
    const ptrdiff_t n = it->n, blocks = (n + TRANSPOSED - 1) / TRANSPOSED;
    for (ptrdiff_t at = 2 * lo; at < 2 * hi; ++at) {
        const ptrdiff_t block = at % 2 ? blocks - 1 - at / 2 : at / 2, first = block * TRANSPOSED;
        const ptrdiff_t last = first + TRANSPOSED < n ? first + TRANSPOSED : n;
        if (at % 2 && block == at / 2)
            continue;                    /* the one in the middle */
        for (ptrdiff_t row = first, end; row < n; row = end) {
            end = row + TRANSPOSED < n ? row + TRANSPOSED : n;
            for (ptrdiff_t column = first; column < last; ++column)
                for (ptrdiff_t i = row > column ? row : column; i < end; ++i)
                    it->gram[column + i * n] = it->polynomial[i + column * n] = it->gram[i + column * n];
        }
    }
}

/* c A^2 + b A + a in the lower triangle of `polynomial`, of A in that of `gram`. */
static void FN(take_polynomial)(const FN(square) *it, const FN(coefs) *c, int num_threads)
{
    char lower = 'L', plain = 'N';
    int n = (int)it->n;
    FN(coefs) own = *c;              /* BLAS does not say that it only reads them */
    fo_parallel_for((n + 2 * TRANSPOSED - 1) / (2 * TRANSPOSED), num_threads, FN(complete), it);
    fo_blas_in_use.DTYPE.syrk(&lower, &plain, &n, &n, &own.ns_c, it->gram, &n, &own.ns_b, it->polynomial, &n);
    for (ptrdiff_t k = 0; k < it->n; ++k)
        it->polynomial[k + k * it->n] += c->ns_a;
}

static void *FN(iterate)(const fo_array *array, const fo_step *step, const fo_orthogonal *room, int num_threads)
{
    const FN(coefs) c = FN(round)(step);
    int rows = (int)array->rows, columns = (int)array->columns, wide = columns >= rows;
    int n = wide ? rows : columns, length = wide ? columns : rows;
    char lower = 'L', transposed = wide ? 'T' : 'N', side = wide ? 'R' : 'L';
    real one = 1, zero = 0, *x = room->x, *next = room->next;
    const FN(square) square = {room->gram, room->polynomial, n};
    for (int k = 0; k < (int)c.ns_steps; ++k) {
        real *before = x;
        fo_blas_in_use.DTYPE.syrk(&lower, &transposed, &n, &length, &one, x, &columns, &zero, square.gram, &n);
        FN(take_polynomial)(&square, &c, num_threads);
        fo_blas_in_use.DTYPE.symm(&side, &lower, &columns, &rows, &one, square.polynomial, &n, x, &columns, &zero, next,
                                  &columns);
        x = next;
        next = before;
    }
    return x;
}

#define DIRECT_KERNEL(k) \
    static void FN(direct_##k)(const fo_array *array, const fo_step *step, ptrdiff_t n, void *x) \
    { FN(direct_range)(array, step, n, x, k); }
#define DIRECT(k) FN(direct_##k),
FO_FORMS(DIRECT_KERNEL)
static fo_direct_kernel *const FN(direct_forms)[] = {FO_FORMS(DIRECT)};
static const fo_orthogonal_kernels FN(orthogonal_kernels) = {
    FN(direct_forms),
    FN(scale),
    FN(iterate),
    FN(least),
};

#undef DIRECT_KERNEL
#undef DIRECT
