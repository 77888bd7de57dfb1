/* races.c -- the shared work of csrc under ThreadSanitizer, on the workers of csrc/core/workers.c.
 *
 * Every pass runs on one thread and on several, however small it is; ThreadSanitizer looks for races, this program for
 * bits that differ. Lock-free epochs are left out: they race by design. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/blas.h"
#include "finite_sum/epoch.h"

enum { THREADS = 4, SIZE = 20000, WIDTH = 5, N_ROWS = SIZE / WIDTH, TOUCHED = 1500 };
enum { SAMPLES = 1000, FEATURES = 40, OUTPUTS = 3, ENTRIES_EACH = 5, BATCH = 500 };

static int n_passes, n_different;

/* --- threads ---------------------------------------------------------------------------------------------------- */

/* In the place of parallel.c's, to which these passes are too small. */
int fo_useful_threads(ptrdiff_t bytes, int num_threads) { return bytes > 0 ? num_threads : 1; }

/* --- memory ----------------------------------------------------------------------------------------------------- */

static void *allocate(size_t n, size_t itemsize)
{
    void *memory = calloc(n ? n : 1, itemsize);
    if (!memory)
        abort();
    return memory;
}

/* Numbers in (0, 1], the same in each run. */
static void *numbers(size_t n, int dtype)
{
    void *memory = allocate(n, fo_itemsize(dtype));
    for (size_t k = 0; k < n; ++k) {
        const double x = (double)(k * 2654435761u % 1000 + 1) / 1000.0;
        if (fo_itemsize(dtype) == sizeof(float))
            ((float *)memory)[k] = (float)x;
        else
            ((double *)memory)[k] = x;
    }
    return memory;
}

static void same(const void *a, const void *b, size_t nbytes, const char *what)
{
    ++n_passes;
    if (memcmp(a, b, nbytes) != 0) {
        ++n_different;
        fprintf(stderr, "%s: other bits on %d threads than on one\n", what, THREADS);
    }
}

/* --- products of matrices --------------------------------------------------------------------------------------- */

/* In the place of a BLAS: the lower triangle of a product with its own transpose, and one with a symmetric matrix of
 * which the lower triangle is there. */
#define PRODUCTS(real, syrk, symm)                                                                                \
    static void syrk(char *uplo, char *trans, int *n, int *k, real *alpha, real *a, int *lda, real *beta, real *c, \
                     int *ldc)                                                                                    \
    {                                                                                                             \
        const int down = *trans == 'T' ? 1 : *lda, across = *trans == 'T' ? *lda : 1;                             \
        for (int j = 0; *uplo == 'L' && j < *n; ++j)                                                              \
            for (int i = j; i < *n; ++i) {                                                                        \
                real sum = 0;                                                                                     \
                for (int at = 0; at < *k; ++at)                                                                   \
                    sum += a[i * across + at * down] * a[j * across + at * down];                                 \
                c[i + j * *ldc] = *alpha * sum + (*beta == 0 ? 0 : *beta * c[i + j * *ldc]);                      \
            }                                                                                                     \
    }                                                                                                             \
    static void symm(char *side, char *uplo, int *m, int *n, real *alpha, real *a, int *lda, real *b, int *ldb,   \
                     real *beta, real *c, int *ldc)                                                               \
    {                                                                                                             \
        const int left = *side == 'L', size = left ? *m : *n;                                                     \
        for (int j = 0; *uplo == 'L' && *beta == 0 && j < *n; ++j)                                                \
            for (int i = 0; i < *m; ++i) {                                                                        \
                const int own = left ? i : j;                                                                     \
                real sum = 0;                                                                                     \
                for (int at = 0; at < size; ++at) {                                                               \
                    const real each = at < own ? a[own + at * *lda] : a[at + own * *lda];                         \
                    sum += each * (left ? b[at + j * *ldb] : b[i + at * *ldb]);                                   \
                }                                                                                                 \
                c[i + j * *ldc] = *alpha * sum;                                                                   \
            }                                                                                                     \
    }
PRODUCTS(float, ssyrk, ssymm)
PRODUCTS(double, dsyrk, dsymm)

/* --- steps ------------------------------------------------------------------------------------------------------ */

static const ptrdiff_t shape[] = {N_ROWS, WIDTH};

static fo_array new_array(const fo_rule *rule, int form, int dtype)
{
    fo_array array = {.size = SIZE, .dtype = dtype, .param = numbers(SIZE, dtype), .row_width = rule->by_rows ? WIDTH : 1,
                      .rows = N_ROWS, .columns = WIDTH, .is_matrix = 1};
    for (int k = 0; rule->slots[k].name; ++k)
        if ((rule->slots[k].options & form) == rule->slots[k].options)
            array.state[k] = allocate(SIZE, fo_itemsize(dtype));   /* of any kind of slot: enough, and aligned */
    return array;
}

static void free_array(fo_array *array)
{
    free(array->param);
    for (int k = 0; k < FO_MAX_SLOTS; ++k)
        free(array->state[k]);
}

/* One step of each layout that a gradient may have, after the state was filled, and a rest. */
static void run_steps(const fo_rule *rule, int form, fo_array *array, int n_threads, double *norm)
{
    const size_t itemsize = fo_itemsize(array->dtype);
    const ptrdiff_t strides[] = {2 * WIDTH * (ptrdiff_t)itemsize, (ptrdiff_t)itemsize};
    const fo_strides plain = {0, NULL, NULL}, strided = {2, shape, strides};
    const struct { fo_layout layout; fo_strides strides; ptrdiff_t width; } gradients[] = {
        {FO_DENSE, plain, 1}, {FO_DENSE, strided, 1}, {FO_EXPANDED, plain, 1}, {FO_EXPANDED, plain, WIDTH},
        {FO_ROWS, plain, WIDTH}, {FO_ELEMENTS, plain, 1}};
    ptrdiff_t first_block[2];
    double carry[FO_N_CARRIED];
    const int coupled = fo_couples(rule);
    fo_group group = {.weight_decay = 0.01, .learning_rate = 0.1, .step = {.clip_value = 0.5}};
    fo_optimizer it = {
        .rule = rule, .work = {array, first_block, 1, rule->by_rows}, .groups = &group, .n_groups = 1, .form = form,
        .sign = 1.0, .clip_norm = 0.5, .nonfinite = FO_RAISE, .value = 1.0};
    int32_t index[TOUCHED];
    int64_t *last_step = allocate(SIZE, sizeof *last_step);
    void *grad = numbers(2 * SIZE, array->dtype);
    fo_own own = {.coef = {0}};
    void *workspace = rule->by_lines ? allocate(fo_lines_workspace(&it.work), 1) : NULL;
    void *room = rule->orthogonalises ? allocate(fo_orthogonal_workspace(&it.work), 1) : NULL;
    it.partial = allocate(FO_MAX_CHUNKS + 1, sizeof *it.partial);
    it.lines = rule->by_lines ? fo_bind_lines(&it.work, workspace) : NULL;
    it.orthogonal = rule->orthogonalises ? fo_bind_orthogonal(&it.work, room) : NULL;
    for (int k = 0; rule->hyper[k]; ++k)
        group.hyper[k] = strcmp(rule->hyper[k], "ns_steps") == 0 ? 2.0 : 0.5;
    for (int k = 0; k < TOUCHED; ++k)
        index[k] = 2 * k;
    array->own = coupled ? &own : NULL;
    fo_start_carried(rule, carry);
    memcpy(group.carried, carry, sizeof group.carried);
    fo_prepare_scalars(&it, &group, 1, carry);
    fo_plan(&it.work, FO_INITIALISE);
    fo_update(&it.work, rule, FO_INITIALISE, &group, n_threads);
    for (size_t k = 0; k < sizeof gradients / sizeof gradients[0]; ++k) {
        if (coupled && (gradients[k].layout == FO_ROWS || gradients[k].layout == FO_ELEMENTS))
            continue;                /* such a rule is given sparse gradients among zeros */
        if (rule->by_rows && gradients[k].layout != FO_DENSE && gradients[k].width != WIDTH)
            continue;                /* and this one whole rows */
        array->layout = gradients[k].layout;
        array->grad_strides = gradients[k].strides;
        array->grad = grad;
        array->at = (fo_positions){index, 0, TOUCHED, gradients[k].width, NULL};
        fo_plan(&it.work, form);
        if (!fo_check_gradient(&it, NULL, n_threads))
            same("", "?", 1, "a gradient that is finite");
        fo_prepare(&it);
        fo_apply(&it, n_threads);
    }
    *norm = it.norm;
    if (!coupled && !rule->by_rows && !rule->by_lines) {   /* the others have no state that lags */
        array->last_step = last_step;
        group.step.t = 10;
        fo_plan(&it.work, FO_FLUSH);
        fo_update(&it.work, rule, FO_FLUSH, &group, n_threads);
        array->last_step = NULL;
    }
    array->own = NULL;
    free(workspace);
    free(room);
    free(it.partial);
    free(grad);
    free(last_step);
}

static void check_rule(const fo_rule *rule, int form, int dtype)
{
    fo_array one = new_array(rule, form, dtype), many = new_array(rule, form, dtype);
    double norms[2];
    run_steps(rule, form, &one, 1, &norms[0]);
    run_steps(rule, form, &many, THREADS, &norms[1]);
    same(one.param, many.param, SIZE * fo_itemsize(dtype), rule->name);
    same(&norms[0], &norms[1], sizeof norms[0], "norm");
    for (int k = 0; k < FO_MAX_SLOTS; ++k)
        if (one.state[k])
            same(one.state[k], many.state[k], SIZE * fo_itemsize(dtype), rule->slots[k].name);
    free_array(&one);
    free_array(&many);
}

/* Rules side by side, as optimizers of several threads of a program are: their tables are shared. */
static void check_rules(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    (void)context;
    for (ptrdiff_t k = lo; k < hi; ++k) {
        fo_array array = new_array(fo_rules[k], 0, 0);
        double norm;
        run_steps(fo_rules[k], 0, &array, 2, &norm);
        free_array(&array);
    }
}

/* --- objectives ------------------------------------------------------------------------------------------------- */

static int32_t columns[SAMPLES * ENTRIES_EACH], indptr[SAMPLES + 1];

static fo_objective new_objective(const fo_loss *loss, int dtype, int sparse)
{
    const int several = strcmp(loss->name, "softmax") == 0;
    const size_t n_values = sparse ? SAMPLES * ENTRIES_EACH : SAMPLES * FEATURES;
    for (int k = 0; k < SAMPLES * ENTRIES_EACH; ++k)
        columns[k] = k / ENTRIES_EACH % (FEATURES / ENTRIES_EACH) + k % ENTRIES_EACH * (FEATURES / ENTRIES_EACH);
    for (int k = 0; k <= SAMPLES; ++k)
        indptr[k] = ENTRIES_EACH * k;
    const fo_objective objective = {
        .n_samples = SAMPLES, .n_features = FEATURES, .n_outputs = several ? OUTPUTS : 1, .n_labels = 1,
        .dtype = dtype, .format = sparse ? FO_CSR32 : FO_DENSE_SAMPLES, .intercept = 1, .data = numbers(n_values, dtype), .sample_stride = FEATURES,
        .indices = columns, .indptr = indptr, .label = allocate(SAMPLES, fo_itemsize(dtype)),
        .weight = numbers(SAMPLES, dtype), .loss = loss, .loss_parameter = 1.0};
    return objective;
}

static void check_evaluation(const fo_objective *it)
{
    const fo_batch all = {NULL, 0, SAMPLES, 0};
    const size_t n = (size_t)((FEATURES + 1) * it->n_outputs), itemsize = fo_itemsize(it->dtype);
    void *w = numbers(n, it->dtype), *derivative = allocate((size_t)(SAMPLES * it->n_outputs), itemsize);
    double *gradients[2], losses[2];
    for (int k = 0; k < 2; ++k) {
        gradients[k] = allocate(fo_gradient_workspace(it, all), sizeof **gradients);
        losses[k] = fo_evaluate(it, w, all, derivative, gradients[k], k ? THREADS : 1);
    }
    same(&losses[0], &losses[1], sizeof losses[0], it->loss->name);
    same(gradients[0], gradients[1], n * sizeof **gradients, "its gradient");
    const int found[] = {fo_validate_samples(it, 1), fo_validate_samples(it, THREADS)};
    const double norms[] = {fo_largest_norm(it, 1), fo_largest_norm(it, THREADS)};
    same(&found[0], &found[1], sizeof found[0], "what is wrong with samples");
    same(&norms[0], &norms[1], sizeof norms[0], "the largest of them");
    free(gradients[0]);
    free(gradients[1]);
    free(derivative);
    free(w);
}

/* An epoch of SGD in batches whose work is shared; of CSR samples, pipelined. The parameters are to be freed. */
static void *run_epoch(const fo_objective *it, const fo_rule *sgd, int n_threads)
{
    const size_t n = (size_t)((FEATURES + 1) * it->n_outputs), itemsize = fo_itemsize(it->dtype);
    const size_t n_batch = (size_t)(BATCH * it->n_outputs);
    const double rate[] = {0.1, 0.1, 0.1};
    ptrdiff_t first_block[2];
    fo_array array = {.size = (ptrdiff_t)n, .dtype = it->dtype, .param = numbers(n, it->dtype), .row_width = 1};
    const fo_penalty penalty = {.kind = FO_NO_PENALTY, .n_columns = FEATURES, .width = it->n_outputs,
                                .dtype = it->dtype, .param = array.param, .spacing = it->n_outputs};
    fo_group group = {.step = {.clip_value = __builtin_inf()}};
    const fo_optimizer optimizer = {
        .rule = sgd, .work = {&array, first_block, 1, 0}, .groups = &group, .n_groups = 1, .sign = 1.0,
        .clip_norm = __builtin_inf(), .nonfinite = FO_RAISE};
    const int sparse = it->format != FO_DENSE_SAMPLES, pipelined = sparse && n_threads > 1;
    const fo_segment segment = {
        .objective = it, .penalty = &penalty, .optimizer = &optimizer, .samples = {NULL, 0, SAMPLES, 0},
        .batch_size = BATCH, .n_batches = SAMPLES / BATCH, .learning_rate = rate, .dense_steps = !sparse,
        .pipelined = pipelined, .num_threads = pipelined ? 1 : n_threads, .n_workers = 1, .records = {NULL, 1}};
    fo_worker worker = {
        .seen = {allocate(FEATURES, sizeof(int32_t)), 1},
        .gathered = allocate(n, itemsize), .gradient = allocate(n, itemsize), .derivative = allocate(n_batch, itemsize),
        .label = allocate(BATCH, itemsize), .weight = allocate(BATCH, itemsize),
        .partial = allocate(FO_MAX_CHUNKS + 1, sizeof(fo_sums))};
    void *const owned[] = {worker.seen.place, worker.gathered, worker.gradient, worker.derivative, worker.label,
                           worker.weight, worker.partial};
    for (int k = 0; k < 2; ++k) {
        worker.touched[k].columns = worker.touched[k].positions = allocate(FEATURES + 1, sizeof(int32_t));
        worker.touched[k].place = allocate(BATCH * ENTRIES_EACH, sizeof(int32_t));
    }
    fo_run_segment(&segment, &worker);
    fo_flush(&segment, &worker, worker.n_done, n_threads);
    if (worker.n_done != SAMPLES / BATCH)
        same("", "?", 1, "an epoch that ended early");
    for (size_t k = 0; k < sizeof owned / sizeof owned[0]; ++k)
        free(owned[k]);
    for (int k = 0; k < 2; ++k) {
        free(worker.touched[k].columns);
        free(worker.touched[k].place);
    }
    return array.param;
}

static void check_loss(const fo_loss *loss, const fo_rule *sgd, int dtype)
{
    for (int sparse = 0; sparse < 2; ++sparse) {
        const fo_objective it = new_objective(loss, dtype, sparse);
        void *one = run_epoch(&it, sgd, 1), *many = run_epoch(&it, sgd, THREADS);
        same(one, many, (size_t)((FEATURES + 1) * it.n_outputs) * fo_itemsize(dtype), "an epoch");
        check_evaluation(&it);
        free(one);
        free(many);
        free((void *)it.data);
        free((void *)it.label);
        free((void *)it.weight);
    }
}

/* --- the flag of an optimizer ----------------------------------------------------------------------------------- */

enum { TURNS = 20000 };
static int busy, is_racing;
static ptrdiff_t n_inside;           /* not atomic: the flag alone keeps it */

static void take_turns(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    (void)context;
    for (ptrdiff_t k = lo; k < hi; ++k) {
        while (!is_racing && !fo_try_acquire(&busy))
            ;
        ++n_inside;
        fo_release(&busy);
    }
}

/* --- the workers ------------------------------------------------------------------------------------------------ */

enum { CALLERS = 3, CALLS = 2000 };
static ptrdiff_t n_calls[CALLERS][THREADS];

static void count_call(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    ptrdiff_t *calls = (ptrdiff_t *)context;
    for (ptrdiff_t k = lo; k < hi; ++k)
        ++calls[k];
}

/* Many small passes of several callers, who take workers from each other. */
static void call_often(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    (void)context;
    for (ptrdiff_t k = lo; k < hi; ++k)
        for (int turn = 0; turn < CALLS; ++turn)
            fo_parallel_for(THREADS, 2 + turn % (THREADS - 1), count_call, n_calls[k]);
}

static void check_workers(void)
{
    const ptrdiff_t expected = CALLS;
    fo_parallel_for(CALLERS, CALLERS, call_often, NULL);
    for (int caller = 0; caller < CALLERS; ++caller)
        for (int k = 0; k < THREADS; ++k)
            same(&n_calls[caller][k], &expected, sizeof expected, "calls of workers");
}

/* With an argument only a race that must be found. */
int main(int argc, char **argv)
{
    (void)argv;
    if (!fo_expect_forks())
        abort();
    if (argc > 1) {
        is_racing = 1;
        fo_parallel_for(TURNS, 3, take_turns, NULL);
        return 0;
    }
    const fo_blas blas = {{ssyrk, ssymm}, {dsyrk, dsymm}};
    fo_use_blas(&blas);
    const fo_rule *sgd = NULL;
    ptrdiff_t n_rules = 0;
    for (int isa = 0; fo_isa_name(isa); ++isa) {
        if (!fo_isa_supported(isa))
            continue;
        fo_use_isa(isa);
        for (int dtype = 0; fo_dtype_name(dtype); ++dtype) {
            for (n_rules = 0; fo_rules[n_rules]; ++n_rules) {
                const fo_rule *rule = fo_rules[n_rules];
                int n_options = 0;
                while (rule->options[n_options])
                    ++n_options;
                for (int form = 0; form < 2 << n_options; form += 2)
                    check_rule(rule, form, dtype);
                if (strcmp(rule->name, "sgd") == 0)
                    sgd = rule;
            }
            for (int k = 0; fo_losses[k]; ++k)
                check_loss(fo_losses[k], sgd, dtype);
        }
    }
    fo_parallel_for(n_rules, 2, check_rules, NULL);
    check_workers();
    fo_parallel_for(TURNS, 3, take_turns, NULL);
    if (n_inside != TURNS)
        same("", "?", 1, "the flag of an optimizer");
    printf("%d results of shared passes compared, %d differ\n", n_passes, n_different);
    return n_different != 0 || n_passes == 0;
}
