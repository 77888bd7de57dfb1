"""The parameters of an estimator, checked."""

from typing import Any, NamedTuple

from joblib import effective_n_jobs

from .._validation import linear_model as validation
from .._validation.scalars import count, flag
from ..optimizers import OPTIMIZERS, Optimizer
from ._solvers import SOLVERS


class Settings(NamedTuple):
    """The parameters of an estimator, in the form in which a fit needs them.

    Attributes
    ----------
    loss_name : str
    loss : Loss
    loss_number : float or None
        The number that the loss has; None if it has none, or one that is made from the targets.
    l2, l1 : float
        Strengths of the penalties.
    fit_intercept : bool
    solver : str or None
    learning_rate : float, callable or None
    batch_size, max_iter, n_iter_no_change : int
    tol : float or None
    held_out : float or None
        The share of samples to hold out.
    average, warm_start : bool
    n_threads : int or None
    verbose : int
    """

    loss_name: str
    loss: Any
    loss_number: Any
    l2: float
    l1: float
    fit_intercept: bool
    solver: Any
    learning_rate: Any
    batch_size: int
    max_iter: int
    n_iter_no_change: int
    tol: Any
    held_out: Any
    average: bool
    warm_start: bool
    n_threads: Any
    verbose: int


def checked(estimator, losses):
    """The settings of an estimator."""
    loss = validation.loss_row(estimator.loss, losses)
    l2, l1 = validation.penalties(estimator.penalty, estimator.alpha, estimator.l1_ratio)
    solver = validation.solver_name(estimator.solver, SOLVERS)
    reads_off = solver in OPTIMIZERS and OPTIMIZERS[solver]._read_off is not Optimizer._read_off
    validation.random_state(estimator.random_state)
    n_jobs = validation.n_jobs(estimator.n_jobs)
    return Settings(
        loss_name=estimator.loss,
        loss=loss,
        loss_number=None if loss.number is None else loss.number.given(estimator),
        l2=l2,
        l1=l1,
        fit_intercept=flag("fit_intercept", estimator.fit_intercept),
        solver=solver,
        learning_rate=validation.rate(estimator.learning_rate, solver),
        batch_size=count("batch_size", estimator.batch_size, 1),
        max_iter=count("max_iter", estimator.max_iter, 1),
        n_iter_no_change=count("n_iter_no_change", estimator.n_iter_no_change, 1),
        tol=validation.tolerance(estimator.tol),
        held_out=validation.early_stopping(estimator.early_stopping, estimator.validation_fraction, solver),
        average=validation.average(estimator.average, solver, reads_off),
        warm_start=flag("warm_start", estimator.warm_start),
        n_threads=None if n_jobs is None else effective_n_jobs(n_jobs),
        verbose=validation.verbosity(estimator.verbose),
    )
