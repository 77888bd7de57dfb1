"""Which solver a fit uses, and the fits of the targets."""

from typing import Any, NamedTuple

import numpy as np

from .._finite_sum.methods import FINITE_SUM_METHODS
from .._minimize import minimize, stopping
from .._validation import linear_model as validation
from ..optimizers import OPTIMIZERS
from . import _quasi_newton, _samples
from ._rates import FIND_THEIR_RATE, learning_rate

# Those whose steps are in proportion to norms of whole arrays, which begin at zero here, and those that do not come
# near the minimum of every loss in the budgets of estimators, unless their rate is tuned.
LEFT_OUT = (
    "adafactor", "lamb", "lars", "muon", "rowwiseadagrad", "rowwiseadam",
    "adadelta", "adan", "dog", "lion", "momo", "radam", "schedulefreesgd", "yogi",
)  # fmt: skip
# Those that know no loss of all classes at once, and fit each class against the rest.
ONE_AGAINST_REST = ("vw",)
SOLVERS = ("auto", "lbfgs", *FINITE_SUM_METHODS, *(name for name in OPTIMIZERS if name not in LEFT_OUT))

# Up to so many margins, entries of X and classes multiplied, "auto" looks at all samples in each iteration.
FEW_MARGINS = 10_000_000

# What "auto" and None stand for in partial_fit, where no budget is known.
OF_CHUNKS = "adagrad"

# The share of the epochs, as its reciprocal, that the method without a rate may spend without progress.
PATIENT = 4

# A fit that ends above its start by this factor has diverged.
FAR_ABOVE = 1e3


class Fitted(NamedTuple):
    """The fit of one objective.

    Attributes
    ----------
    x : ndarray
        The parameters.
    curve, validation : list of float
        Losses of the epochs, the mean of several targets.
    n_iter : int
        Their number.
    converged : bool
        Whether it ended for another reason than that its budget was used up, or is planned to use it up.
    optimizer : Optimizer or None
        With the state to go on with; None for a method that goes over the same samples again and again.
    """

    x: Any
    curve: list
    validation: list
    n_iter: int
    converged: bool
    optimizer: Any


def is_one_against_rest(solver):
    """Whether each class is fitted against the rest, whatever the loss."""
    return isinstance(solver, str) and solver.lower() in ONE_AGAINST_REST


def chosen(problem):
    """The solver that "auto" stands for: a name, or None."""
    settings, X, n_outputs = problem.settings, problem.X, problem.form.n_outputs
    if settings.solver != "auto":
        return settings.solver
    size = (X.shape[0] * X.shape[1] if isinstance(X, np.ndarray) else X.nnz) * n_outputs
    one_pass = settings.held_out is None and not settings.average
    return "lbfgs" if one_pass and settings.learning_rate is None and size <= FEW_MARGINS else None


def fit_each(problem, solver, starts, labels, seed):
    """Fit every objective from its start; returns a list of `Fitted`.

    `labels` are the classes of the samples, None if there are none, and `seed` makes each target's order of samples:
    the same for all.
    """
    settings, validating = problem.settings, None
    if settings.held_out is not None:
        parts = _samples.held_out(problem.X, problem.targets, problem.weights, settings.held_out, labels, seed)
        problem, validating = problem.over(*parts[0]), problem.over(*parts[1])
    fits = []
    for k, start in enumerate(starts):
        held_out = None if validating is None else validating.alone(k)
        report = Report(settings.verbose, k, problem.form.n_labels)
        fits.append(fit_one(problem.alone(k), start, solver, held_out, seed, report))
    return fits


def fit_one(problem, x0, solver, validating, seed, report):
    """Fit the objective of a problem with one."""
    settings, n_targets = problem.settings, problem.form.n_labels
    if solver == "lbfgs" or solver in FINITE_SUM_METHODS:
        problem = problem.over(*_samples.merged(problem.X, problem.targets, problem.weights))
    if solver == "lbfgs":
        x, curve, converged = _quasi_newton.run(problem, x0, report)
        check_finite(x, settings, None)
        return Fitted(x, curve, [], len(curve), converged, None)
    objective = problem.objective()
    rate = learning_rate(solver, problem, objective)
    options, held_out = options_of(solver, settings, rate), None
    if validating is not None:
        held_out, options["return_best"] = validating.objective(penalised=False), True
    single = solver in FINITE_SUM_METHODS
    result = minimize(
        objective, x0, method=solver, options=options, tol=settings.tol, validation=held_out, rng=seed,
        batch_size=None if single else min(settings.batch_size, objective.n_samples),
        epoch_callback=report.of_state if settings.verbose else None,
    )  # fmt: skip
    settled, risen = result.status == stopping.CONVERGED, result.status == stopping.RISEN
    far_above = risen and result.fun > FAR_ABOVE * max(1.0, abs(objective(x0)))
    if result.status in stopping.DIVERGED or far_above:
        validation.refuse_divergence(settings.loss_name, rate)
    check_finite(result.x, settings, rate)
    return Fitted(
        result.x, (result.history["fun"] / n_targets).tolist(), result.history.get("validation", np.zeros(0)).tolist(),
        n_iter=max(result.nepoch, 1),
        converged=solver is None or settled or (result.nepoch < settings.max_iter and not risen),
        optimizer=None if solver is None or single else result.optimizer,
    )  # fmt: skip


def options_of(solver, settings, rate):
    """The options of `minimize`."""
    patience = settings.n_iter_no_change
    if solver in (None, *FIND_THEIR_RATE):  # whose first steps are tiny
        patience = max(patience, settings.max_iter // PATIENT)
    options = {"epochs": settings.max_iter, "patience": patience}
    if rate is not None:
        options["learning_rate"] = rate
    if settings.average:
        options |= {"average": "polyak", "average_start": int(settings.max_iter > 1)}
    return options


def check_finite(x, settings, rate):
    """Refuse parameters that are not finite."""
    if not np.isfinite(x).all():
        validation.refuse_divergence(settings.loss_name, rate)


class Report:
    """Prints a line for each epoch, if that is wanted; of several targets at once with the mean of their losses."""

    def __init__(self, verbose, k, n_targets=1):
        self.verbose, self.n_targets = verbose, n_targets
        self.who = f"target {k}" if n_targets == 1 else f"{n_targets} targets"

    def __call__(self, n, loss, validation_loss=None):
        if self.verbose:
            held_out = "" if validation_loss is None else f", held out {validation_loss:.6g}"
            print(f"{self.who}, epoch {n}: loss {loss:.6g}{held_out}")

    def of_state(self, state):
        self(state.nepoch, state.fun / self.n_targets, state.validation)
