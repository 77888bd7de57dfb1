"""Checks of what estimators are given, beyond those of scikit-learn, and their messages."""

import numbers

import numpy as np

from .machine import MOST_THREADS
from .names import hint
from .scalars import choice, count, flag, inside, integer, real
from .text import shown

PENALTIES = (None, "l2", "l1", "elasticnet")


# --- parameters ------------------------------------------------------------------------------------------


def penalties(penalty, alpha, l1_ratio):
    """Return the strengths l2 and l1."""
    if penalty is not None and penalty not in PENALTIES:
        listed = ", ".join(repr(each) for each in PENALTIES)
        raise ValueError(f"`penalty` must be one of {listed}, got {shown(penalty)}.")
    alpha = real("alpha", alpha, "[0, inf)")
    share = real("l1_ratio", l1_ratio, "[0, 1]")
    share = {None: 0.0, "l2": 0.0, "l1": 1.0, "elasticnet": share}[penalty]
    return (0.0, 0.0) if penalty is None else (alpha * (1 - share), alpha * share)


def solver_name(value, names):
    """Return the name of a solver in lower case, or None."""
    if value is None:
        return None
    if isinstance(value, str) and value.lower() in names:
        return value.lower()
    listed = ", ".join(repr(each) for each in names)
    raise ValueError(f"`solver` must be None or one of {listed}, got {shown(value)}.{hint(value, names)}")


def rate(value, solver):
    """Return a learning rate: None, a number, or a schedule."""
    if value is None or callable(value):
        return value
    if solver == "lbfgs":
        raise ValueError(
            f'`learning_rate` must be None for `solver="lbfgs"`, which searches a line, got {shown(value)}.'
        )
    return real("learning_rate", value, "(0, inf)")


def tolerance(value):
    return None if value is None else real("tol", value, "[0, inf)")


def early_stopping(value, fraction, solver):
    """Return the share of samples to hold out, None if none."""
    fraction = real("validation_fraction", fraction, "(0, 1)")
    if not flag("early_stopping", value):
        return None
    _not_with_all_samples("early_stopping", solver)
    return fraction


def average(value, solver, reads_off):
    """Return whether to average the coefficients of all steps; `reads_off` if the solution of the solver is one."""
    if not flag("average", value):
        return False
    _not_with_all_samples("average", solver)
    if reads_off:
        raise ValueError(
            f"`average` must be False for `solver={shown(solver)}`, whose solution is an average; set average=False."
        )
    return True


def _not_with_all_samples(name, solver):
    if solver == "lbfgs":
        raise ValueError(
            f'`{name}` must be False for `solver="lbfgs"`, which makes no steps with a part of the samples; set '
            f'{name}=False, or solver="auto".'
        )


def n_jobs(value):
    """Return a number of threads as scikit-learn has it: None, positive, or negative to count from all cores."""
    if value is None:
        return None
    value = integer("n_jobs", value, -(2**31), MOST_THREADS)
    if value == 0:
        raise ValueError("`n_jobs` must be None or an integer other than 0, got 0.")
    return value


def verbosity(value):
    """Return how much is printed: a count, or whether anything is."""
    return int(value) if isinstance(value, (bool, np.bool_)) else count("verbose", value, 0)


def random_state(value):
    """Refuse what scikit-learn makes no generator of."""
    if isinstance(value, numbers.Integral) and not 0 <= value < 2**32:
        raise ValueError(f"`random_state` must be in [0, 2**32), got {shown(value)}.")
    if value is not None and not isinstance(value, (numbers.Integral, np.random.RandomState)):
        raise TypeError(
            f"`random_state` must be None, an integer or a numpy.random.RandomState, got {type(value).__name__}."
        )


def class_weights(of_class):
    """Refuse weights of classes that are negative, or no numbers."""
    wrong = [each for each in of_class if not 0 <= each < np.inf]
    if wrong:
        raise ValueError(f"`class_weight` must have weights in [0, inf), got {shown(float(wrong[0]))}.")


def no_balance(class_weight):
    """Refuse class weights that need all samples where they come in chunks."""
    if isinstance(class_weight, str):
        raise ValueError(
            f"`class_weight` must be a dict or None for partial_fit, got {shown(class_weight)}; pass the dict that "
            "sklearn.utils.class_weight.compute_class_weight makes of all labels."
        )


def loss_row(name, losses):
    """Return what is known of a loss that has been chosen."""
    return losses[choice("loss", name, losses)]


# --- samples ---------------------------------------------------------------------------------------------


def at_least_two_classes(name, classes):
    if len(classes) < 2:
        raise ValueError(f"`{name}` must hold at least 2 classes, got 1 class: {shown(classes.tolist()[0])}.")


def known_classes(y, classes):
    """Refuse classes that partial_fit has not been told of."""
    unknown = np.setdiff1d(y, classes)
    if len(unknown):
        raise ValueError(
            f"`y` must hold classes of {shown(classes.tolist())} only, got {shown(unknown.tolist())}; pass all of them "
            "as `classes` to the first call of partial_fit."
        )


def same_coefficients(shape, wanted, where):
    """Refuse to go on from coefficients of another shape."""
    if shape != wanted:
        raise ValueError(
            f"`{where}` must go on with coefficients of shape {wanted}, got those of a model of shape {shape}; make a "
            "new estimator with sklearn.base.clone."
        )


def same_classes(classes, former):
    """Refuse a warm start with other classes."""
    if not np.array_equal(classes, former):
        raise ValueError(
            f"`y` must hold the classes of the fit before, {shown(former.tolist())}, with `warm_start=True`, got "
            f"{shown(classes.tolist())}; set warm_start=False."
        )


def dense_targets(y):
    """Refuse sparse targets, which scikit-learn lets pass where there may be several."""
    from scipy.sparse import issparse  # here: `import fastopt` does without SciPy

    if issparse(y):
        raise TypeError("`y` must be a dense array, got a sparse one; pass y.toarray().")


def targets_in_domain(y, interval, loss):
    """Refuse targets that the loss has no value for; None for one that has a value for all."""
    if interval is not None and not inside(y, interval).all():
        wanted = {"[0, inf)": "at least 0", "(0, inf)": "above 0"}[interval]
        raise ValueError(f"`y` must be {wanted} for `loss={shown(loss)}`, got {shown(float(np.min(y)))}.")


def some_weight(kept):
    """Refuse weights that are all 0, of which scikit-learn sees those of samples, not those of classes."""
    if len(kept) == 0:
        raise ValueError(
            "the weights of the samples, times those of their classes, must be positive for at least one sample, got 0 "
            "for all."
        )


def enough_to_hold_out(n, n_held_out, class_sizes):
    """Refuse samples of which none would be left to fit, or to hold out, of each class if there are classes."""
    if n < 2:
        raise ValueError(f"`early_stopping` needs at least 2 samples, got {n}; set early_stopping=False.")
    rarest = min(class_sizes, default=2)
    if rarest < 2:
        raise ValueError(
            f"`early_stopping` needs at least 2 samples of each class, got {rarest} of one; set early_stopping=False."
        )
    least = max(len(class_sizes), 1)
    if not least <= n_held_out <= n - least:
        of_each = " of each class" if class_sizes else ""
        raise ValueError(
            f"`validation_fraction` must leave at least one sample{of_each} to fit, and one to hold out: that is "
            f"{least} of {n}, got {n_held_out} to hold out; set validation_fraction=0.5, or early_stopping=False."
        )


def scaled_columns(deviations, solver):
    """Refuse samples whose squares overflow."""
    if not np.isfinite(deviations).all():
        raise ValueError(
            f"`X` must have columns whose squares are in the range of float64 for `solver={shown(solver)}`, got larger "
            "entries; scale the features with sklearn.preprocessing.MaxAbsScaler."
        )


def loss_in_range(value, loss, y):
    """Refuse targets whose loss overflows where all coefficients are zero."""
    if not np.isfinite(value):
        raise ValueError(
            f"`y` must have a finite `loss={shown(loss)}` where all coefficients are zero, got entries up to "
            f"{shown(float(np.abs(y).max()))}; divide it by the largest one."
        )


def refuse_divergence(loss, rate):
    """Raise for coefficients that are not finite any more, or far worse than those at the start."""
    smaller = "" if rate is None else f", or pass a smaller `learning_rate`, got {shown(rate)}"
    raise ValueError(
        f"the fit with `loss={shown(loss)}` diverged; scale the features with "
        f"sklearn.preprocessing.StandardScaler, and the targets of a regressor to a size of 1{smaller}."
    )


def not_converged(name, n, max_iter):
    """What is said of a fit that has used up its epochs, or has ended before that no lower than it began."""
    if n < max_iter:
        return (
            f"{name} has ended after {n} epochs no lower than it began. Pass a smaller `learning_rate`, or scale the "
            "features and the targets."
        )
    return f"{name} has not converged with `max_iter={n}`. Raise `max_iter` or `tol`, or scale the features."
