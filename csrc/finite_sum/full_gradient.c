/* full_gradient.c -- value and gradient of an objective over a batch, on several threads.
 *
 * Samples are cut into chunks whose number depends on the data alone, with a sum of losses each. A gradient in double
 * is kept for each chunk too, or for some consecutive chunks together where it is long beside what goes into it. Chunks
 * go through their samples block by block while these are in the cache, and are added in order. */
#include <string.h>
#include "finite_sum/sample_kernels.h"
#include "finite_sum/samples.h"

enum {
    BLOCK = 64,                  /* samples, and labels */
    LEAST_SAMPLES = 64,          /* in a chunk */
    ENTRIES_EACH = 4             /* of CSR samples, for each entry of the gradient that they go into */
};

/* What all threads share. */
typedef struct {
    const fo_objective *objective;
    const fo_sample_kernels *kernels;   /* of its dtype */
    const void *w;               /* the parameters */
    int at_zero;                 /* whether all of them are 0, as at the start of most runs: margins are 0 as well */
    fo_batch batch;
    ptrdiff_t n_chunks, n_gradients;    /* n_chunks is a multiple */
    ptrdiff_t size;              /* entries of a gradient */
    ptrdiff_t stride;            /* doubles from one gradient to the next */
    void *derivative;            /* batch.n x n_outputs of the dtype; written */
    double *gradient;            /* n_gradients x stride, written; or NULL */
    double *loss;                /* n_chunks; written */
} evaluation;

static ptrdiff_t size_of(const fo_objective *it) { return (it->n_features + (it->intercept ? 1 : 0)) * it->n_outputs; }

ptrdiff_t fo_batch_entries(const fo_objective *it, fo_batch batch)
{
    ptrdiff_t entries = 0;
    if (!is_sparse(it))
        return batch.n * it->n_features;
    if (!batch.sample)
        return load_index(it->indptr, has_index64(it), batch.first + batch.n)
             - load_index(it->indptr, has_index64(it), batch.first);
    for (ptrdiff_t i = 0; i < batch.n; ++i)
        entries += csr_sample(it, sample_of(batch, i), it->format, 0).n;
    return entries;
}

/* A power of two, at most FO_CHUNKS. */
static ptrdiff_t power_below(ptrdiff_t most)
{
    ptrdiff_t n = 1;
    while (2 * n <= most && n < FO_CHUNKS)
        n *= 2;
    return n;
}

static ptrdiff_t chunks_of(fo_batch batch) { return power_below(batch.n / LEAST_SAMPLES); }

/* Divides the number of chunks. */
static ptrdiff_t gradients_of(const fo_objective *it, fo_batch batch, ptrdiff_t n_entries)
{
    const ptrdiff_t n = power_below(n_entries / (ENTRIES_EACH * (it->n_features + 1))), n_chunks = chunks_of(batch);
    return is_sparse(it) && n < n_chunks ? n : n_chunks;
}

/* Doubles for a gradient: its own, and one in the dtype for a block of dense samples. */
static ptrdiff_t gradient_stride(const fo_objective *it) { return is_sparse(it) ? size_of(it) : 2 * size_of(it); }

size_t fo_gradient_workspace(const fo_objective *it, fo_batch batch)
{
    return (size_t)(gradients_of(it, batch, fo_batch_entries(it, batch)) * gradient_stride(it));
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
    const fo_batch block = batch_slice(it->batch, lo, hi);
    const ptrdiff_t n = block.n * objective->n_labels;
    const size_t width = fo_itemsize(objective->dtype) * (size_t)(objective->n_outputs / objective->n_labels);
    double labels[BLOCK], weights[BLOCK], loss = 0.0;
    char *derivative = derivatives_from(it, lo);
    if (it->at_zero)
        memset(derivative, 0, (size_t)(block.n * objective->n_outputs) * fo_itemsize(objective->dtype));
    else
        it->kernels->margins(objective, block, it->w, derivative);
    for (ptrdiff_t first = 0, last; first < n; first = last, derivative += (size_t)BLOCK * width) {
        last = first + BLOCK < n ? first + BLOCK : n;
        it->kernels->labels(objective, block, first, last, 1.0, labels, weights);
        loss += loss_of(objective)(objective, derivative, labels, weights, last - first, derivative);
    }
    return loss;
}

/* Adds the gradients of the samples [lo, hi) to those of a chunk. */
static void add_block(const evaluation *it, ptrdiff_t lo, ptrdiff_t hi, double *gradient)
{
    const fo_objective *objective = it->objective;
    const ptrdiff_t n_weights = (ptrdiff_t)weights_size(objective);
    const fo_batch block = batch_slice(it->batch, lo, hi);
    const char *derivative = derivatives_from(it, lo);
    if (is_sparse(objective))
        it->kernels->add_csr(objective, block, derivative, gradient);
    else {
        double *in_dtype = gradient + it->size;
        memset(in_dtype, 0, (size_t)n_weights * fo_itemsize(objective->dtype));
        it->kernels->add_dense(objective, block, derivative, 0, objective->n_features, in_dtype);
        it->kernels->add_widened(in_dtype, n_weights, gradient);
    }
    if (objective->intercept)
        it->kernels->add_intercepts(objective, hi - lo, derivative, gradient + n_weights);
}

/* Loss of a chunk; adds to a gradient, or NULL. */
static void run_chunk(const evaluation *it, ptrdiff_t chunk, double *gradient)
{
    const ptrdiff_t n = it->batch.n, start = n * chunk / it->n_chunks, stop = n * (chunk + 1) / it->n_chunks;
    double loss = 0.0;
    for (ptrdiff_t lo = start, hi; lo < stop; lo = hi) {
        hi = lo + BLOCK < stop ? lo + BLOCK : stop;
        loss += block_loss(it, lo, hi);
        if (gradient)
            add_block(it, lo, hi, gradient);
    }
    it->loss[chunk] = loss;
}

static void run_losses(const void *context, ptrdiff_t first, ptrdiff_t last)
{
    for (ptrdiff_t chunk = first; chunk < last; ++chunk)
        run_chunk(context, chunk, NULL);
}

static void run_gradients(const void *context, ptrdiff_t first, ptrdiff_t last)
{
    const evaluation *it = context;
    const ptrdiff_t n_each = it->n_chunks / it->n_gradients;
    for (ptrdiff_t k = first; k < last; ++k) {
        double *gradient = it->gradient + k * it->stride;
        memset(gradient, 0, (size_t)it->size * sizeof *gradient);
        for (ptrdiff_t chunk = k * n_each; chunk < (k + 1) * n_each; ++chunk)
            run_chunk(it, chunk, gradient);
    }
}

/* The gradients, added in order onto the first. */
static void add_gradients(const void *context, ptrdiff_t lo, ptrdiff_t hi)
{
    const evaluation *it = context;
    for (ptrdiff_t k = 1; k < it->n_gradients; ++k)
        for (ptrdiff_t j = lo; j < hi; ++j)
            it->gradient[j] += it->gradient[k * it->stride + j];
}

static int threads_for(const fo_objective *it, ptrdiff_t n_entries, int num_threads)
{
    const ptrdiff_t itemsize = (ptrdiff_t)fo_itemsize(it->dtype);
    return fo_useful_threads(n_entries * (is_sparse(it) ? SPARSE_ENTRY_BYTES : itemsize * it->n_outputs), num_threads);
}

/* Too few entries for several gradients: the losses on all threads, and one gradient in the order of the samples. */
static void run_apart(const evaluation *it, int n_threads)
{
    memset(it->gradient, 0, (size_t)it->size * sizeof *it->gradient);
    fo_parallel_for(it->n_chunks, n_threads, run_losses, it);
    for (ptrdiff_t lo = 0; lo < it->batch.n; lo += BLOCK)
        add_block(it, lo, lo + BLOCK < it->batch.n ? lo + BLOCK : it->batch.n, it->gradient);
}

/* Whether all bytes are 0: the first one, and each one the same as the one before it. */
static int is_zero(const void *w, size_t n_bytes)
{
    const char *bytes = w;
    return n_bytes == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, n_bytes - 1) == 0);
}

double fo_evaluate(const fo_objective *objective, const void *w, fo_batch batch, void *derivative, double *gradient,
                   int num_threads)
{
    double loss[FO_CHUNKS], sum = 0.0;
    const ptrdiff_t n_entries = fo_batch_entries(objective, batch);
    const evaluation it = {
        objective,
        fo_sample_kernels_of(objective->dtype),
        w,
        is_zero(w, (size_t)size_of(objective) * fo_itemsize(objective->dtype)),
        batch,
        chunks_of(batch),
        gradients_of(objective, batch, n_entries),
        size_of(objective),
        gradient_stride(objective),
        derivative,
        gradient,
        loss,
    };
    const int n_threads = threads_for(objective, n_entries, num_threads);
    if (!gradient)
        fo_parallel_for(it.n_chunks, n_threads, run_losses, &it);
    else if (it.n_gradients == 1 && n_threads > 1)
        run_apart(&it, n_threads);
    else
        fo_parallel_for(it.n_gradients, n_threads, run_gradients, &it);
    if (gradient && it.n_gradients > 1)
        fo_parallel_for(it.size, n_threads, add_gradients, &it);
    for (ptrdiff_t chunk = 0; chunk < it.n_chunks; ++chunk)
        sum += loss[chunk];
    return sum;
}
