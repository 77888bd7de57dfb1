"""Names that users bring from other libraries, and misspelt ones: what they stand for here."""

import difflib

#: Name in PyTorch, Keras, optax, scikit-learn or SciPy -> what it is called here; one of several, or all of them.
#: A name that stands for nothing here, though it looks like another one, has none.
ALIASES = {
    "alpha": ("rho",),
    "b1": ("beta_1",),
    "b2": ("beta_2",),
    "betas": ("beta_1", "beta_2"),
    "clipnorm": ("clip_norm",),
    "clipvalue": ("clip_value",),
    "decay": ("rho",),
    "decoupled": ("decoupled_weight_decay",),
    "eps": ("epsilon", "finite_diff_rel_step"),
    "eps_root": ("epsilon_root",),
    "eta": ("learning_rate",),
    "eta0": ("learning_rate",),
    "etas": ("eta_minus", "eta_plus"),
    "fatol": ("tol",),
    "ftol": ("tol",),
    "global_clipnorm": ("clip_norm",),
    "gtol": ("tol",),
    "iprint": ("disp",),
    "l1_regularization_strength": ("l1",),
    "l2_regularization_strength": ("l2",),
    "learning_rate_init": ("learning_rate",),
    "learning_rate_power": (),
    "lr": ("learning_rate",),
    "max_grad_norm": ("clip_norm",),
    "max_iter": ("maxiter",),
    "max_norm": ("clip_norm",),
    "n_epochs": ("epochs",),
    "n_iter": ("maxiter",),
    "n_iter_no_change": ("patience",),
    "maxfev": ("maxiter",),
    "maxfun": ("maxiter",),
    "n_jobs": ("num_threads",),
    "num_epochs": ("epochs",),
    "random_state": ("rng",),
    "seed": ("rng",),
    "step_size": ("learning_rate",),
    "step_sizes": ("step_min", "step_max"),
    "stepsize": ("learning_rate",),
    "validation_data": ("validation",),
    "verbose": ("disp",),
    "wd": ("weight_decay",),
    "weight_decouple": ("decoupled_weight_decay",),
}

#: Names above that stand for one of the names here, not for all of them: SciPy's `eps` is a step of differences.
SEVERAL_MEANINGS = {"eps"}

#: What `fastopt.minimize` takes as arguments, not as options.
ARGUMENTS = (
    "args", "method", "jac", "bounds", "tol", "callback", "data", "n_samples", "batch_size", "rng", "resume",
    "validation", "epoch_callback", "comm",
)  # fmt: skip


def hint(name, known):
    """A sentence, after a space, on what a name that is not `known` may stand for; empty if nothing is like it."""
    name = str(name)
    meant = [each for each in ALIASES.get(name.lower(), ()) if each in known]
    argument = next((each for each in (name, *ALIASES.get(name.lower(), ())) if each in ARGUMENTS), None)
    if not meant and argument is None and ALIASES.get(name.lower()) != ():
        meant = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    if meant:
        link = " or " if name.lower() in SEVERAL_MEANINGS else " and "
        return f" Did you mean {link.join(f'`{each}`' for each in meant)}?"
    return "" if argument is None else f" Give `{argument}` to fastopt.minimize as an argument."
