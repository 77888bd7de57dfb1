/* sample_loss_tmpl.h -- the loss of one sample, for methods that step after each; once per (instruction set, dtype). */

/* The weight of a sample, for each of its labels. */
FO_INLINE const real *FN(weights_of_labels)(const fo_objective *it, ptrdiff_t sample, real *workspace)
{
    const real *weight = (const real *)it->weight + sample;
    if (it->n_labels == 1)
        return weight;
    for (ptrdiff_t k = 0; k < it->n_labels; ++k)
        workspace[k] = *weight;
    return workspace;
}

/* Of a sample whose margins are the first n_outputs entries of the workspace: the next n_outputs become the
 * derivatives, times its weight, and as many after these may become weights. */
FO_INLINE double FN(sample_loss)(const fo_objective *it, ptrdiff_t sample, real *workspace)
{
    real *derivatives = workspace + it->n_outputs;
    const real *weights = FN(weights_of_labels)(it, sample, derivatives + it->n_outputs);
    const real *labels = (const real *)it->label + sample * it->n_labels;
    return loss_of(it)(it, workspace, labels, weights, it->n_labels, derivatives);
}
