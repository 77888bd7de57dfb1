/* evaluate.c -- value and gradient of an objective over a batch, on several threads.
 *
 * Samples are cut into chunks whose number depends on the data alone. Each chunk goes through its samples block by
 * block while their rows are in the cache, with a gradient of its own in double; the chunks are added in order. */
#include <string.h>
#include "rows.h"
#include "samples.h"

enum {
    BLOCK = 64,                  /* samples */
    LEAST_SAMPLES = 64,          /* in a chunk */
    ENTRIES_EACH = 4,            /* of a sparse chunk, for each entry of its gradient */
    SPARSE_ENTRY_BYTES = 32      /* what an entry of a sparse row costs, in bytes of a stream */
};

typedef struct {
    const fo_objective *objective;
    const fo_row_kernels *kernels;
    const void *w;
    fo_batch batch;
    ptrdiff_t n_chunks, size, room;
    void *derivative;
    double *gradient;            /* NULL; `room` doubles for each chunk; one for all if `room` is 0 */
    double *loss;                /* one for each chunk */
} evaluation;

static ptrdiff_t size_of(const fo_objective *it)
{
    return (it->n_features + (it->intercept ? 1 : 0)) * it->n_outputs;
}

ptrdiff_t fo_batch_entries(const fo_objective *it, fo_batch batch)
{
    ptrdiff_t entries = 0;
    if (!it->sparse)
        return batch.n * it->n_features;
    if (!batch.sample)
        return entry_of(it->row_start, it->wide, batch.first + batch.n) - entry_of(it->row_start, it->wide, batch.first);
    for (ptrdiff_t i = 0; i < batch.n; ++i)
        entries += sparse_row(it, sample_of(batch, i), it->wide, 0).n;
    return entries;
}

static ptrdiff_t chunks_of(const fo_objective *it, fo_batch batch, int want_gradient)
{
    const ptrdiff_t by_samples = batch.n / LEAST_SAMPLES;
    const ptrdiff_t by_entries = fo_batch_entries(it, batch) / (ENTRIES_EACH * (it->n_features + 1));
    ptrdiff_t most = want_gradient && it->sparse && by_entries < by_samples ? by_entries : by_samples, n = 1;
    while (2 * n <= most && n < FO_CHUNKS)
        n *= 2;
    return n;
}

/* Doubles for a chunk: its gradient, and one in the dtype for a block of dense rows. */
static ptrdiff_t chunk_room(const fo_objective *it)
{
    return it->sparse ? size_of(it) : 2 * size_of(it);
}

size_t fo_evaluation_room(const fo_objective *it, fo_batch batch)
{
    return (size_t)(chunks_of(it, batch, 1) * chunk_room(it));
}

static char *derivatives_from(const evaluation *it, ptrdiff_t sample)
{
    const ptrdiff_t itemsize = (ptrdiff_t)fo_itemsize(it->objective->dtype);
    return (char *)it->derivative + sample * it->objective->n_outputs * itemsize;
}

/* Losses and derivatives of the samples [lo, hi) of the batch, at most BLOCK. */
static double block_loss(const evaluation *it, ptrdiff_t lo, ptrdiff_t hi)
{
    const fo_objective *objective = it->objective;
    const fo_batch block = part_of(it->batch, lo, hi);
    double labels[BLOCK], weights[BLOCK];
    char *derivative = derivatives_from(it, lo);
    it->kernels->margins(objective, block, it->w, derivative);
    it->kernels->labels(objective, block, 1.0, labels, weights);
    return objective->loss->variants[fo_variant_index(objective->dtype)](
        derivative, labels, weights, hi - lo, objective->n_outputs, objective->shape, derivative);
}

/* Adds the gradients of the samples [lo, hi) to those of a chunk. */
static void add_block(const evaluation *it, ptrdiff_t lo, ptrdiff_t hi, double *gradient)
{
    const fo_objective *objective = it->objective;
    const ptrdiff_t n_weights = objective->n_features * objective->n_outputs;
    const fo_batch block = part_of(it->batch, lo, hi);
    const char *derivative = derivatives_from(it, lo);
    if (objective->sparse)
        it->kernels->add_sparse(objective, block, derivative, gradient);
    else {
        double *in_dtype = gradient + it->size;
        memset(in_dtype, 0, (size_t)n_weights * fo_itemsize(objective->dtype));
        it->kernels->add_dense(objective, block, derivative, 0, objective->n_features, in_dtype);
        it->kernels->add_widened(in_dtype, n_weights, gradient);
    }
    if (objective->intercept)
        it->kernels->add_intercepts(objective, hi - lo, derivative, gradient + n_weights);
}

static void run_chunk(const evaluation *it, ptrdiff_t chunk)
{
    const ptrdiff_t n = it->batch.n, start = n * chunk / it->n_chunks, stop = n * (chunk + 1) / it->n_chunks;
    double *gradient = it->gradient ? it->gradient + chunk * it->room : NULL;
    double loss = 0.0;
    if (gradient && it->room)
        memset(gradient, 0, (size_t)it->size * sizeof *gradient);
    for (ptrdiff_t lo = start, hi; lo < stop; lo = hi) {
        hi = lo + BLOCK < stop ? lo + BLOCK : stop;
        loss += block_loss(it, lo, hi);
        if (gradient)
            add_block(it, lo, hi, gradient);
    }
    it->loss[chunk] = loss;
}

static void run_chunks(const void *context, ptrdiff_t first, ptrdiff_t last)
{
    for (ptrdiff_t chunk = first; chunk < last; ++chunk)
        run_chunk(context, chunk);
}

/* The gradients of the chunks, added in order onto the first. */
static void add_chunks(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const evaluation *it = context;
    for (ptrdiff_t chunk = 1; chunk < it->n_chunks; ++chunk)
        for (ptrdiff_t j = lo; j < hi; ++j)
            it->gradient[j] += it->gradient[chunk * it->room + j];
}

static int threads_for(const fo_objective *it, fo_batch batch, int num_threads)
{
    const ptrdiff_t cost = it->sparse ? SPARSE_ENTRY_BYTES : (ptrdiff_t)fo_itemsize(it->dtype) * it->n_outputs;
    return fo_useful_threads(fo_batch_entries(it, batch) * cost, num_threads);
}

/* Too few entries for a gradient per chunk: all chunks add to one, in the order of the samples. */
static void run_with_one_gradient(evaluation it, int n_threads)
{
    double *gradient = it.gradient;
    memset(gradient, 0, (size_t)it.size * sizeof *gradient);
    if (n_threads == 1) {
        fo_parallel_for(it.n_chunks, 1, run_chunks, &it);
        return;
    }
    it.gradient = NULL;
    fo_parallel_for(it.n_chunks, n_threads, run_chunks, &it);
    for (ptrdiff_t lo = 0; lo < it.batch.n; lo += BLOCK)
        add_block(&it, lo, lo + BLOCK < it.batch.n ? lo + BLOCK : it.batch.n, gradient);
}

double fo_evaluate(const fo_objective *objective, const void *w, fo_batch batch, void *derivative, double *gradient,
                   int num_threads)
{
    double loss[FO_CHUNKS], sum = 0.0;
    const ptrdiff_t n_gradients = gradient ? chunks_of(objective, batch, 1) : 0;
    const evaluation it = {
        objective, fo_row_kernels_of(objective->dtype), w, batch,
        n_gradients > 1 ? n_gradients : chunks_of(objective, batch, 0), size_of(objective),
        n_gradients > 1 ? chunk_room(objective) : 0, derivative, gradient, loss,
    };
    const int n_threads = threads_for(objective, batch, num_threads);
    if (n_gradients == 1)
        run_with_one_gradient(it, n_threads);
    else
        fo_parallel_for(it.n_chunks, n_threads, run_chunks, &it);
    if (n_gradients > 1)
        fo_parallel_for(it.size, n_threads, add_chunks, &it);
    for (ptrdiff_t chunk = 0; chunk < it.n_chunks; ++chunk)
        sum += loss[chunk];
    return sum;
}
