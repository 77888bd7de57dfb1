"""Several targets in one pass over the samples, where each still gets the steps that it would get alone."""

import numpy as np

from .. import _core
from .._finite_sum.methods import FINITE_SUM_METHODS
from ..optimizers import OPTIMIZERS
from . import _samples
from ._rates import follows_targets


def may_stop(settings):
    """Whether a fit may end, or which epoch it returns may be decided, by a loss: of each target its own."""
    ends_by_loss = settings.tol is not None and settings.max_iter > settings.n_iter_no_change
    return settings.held_out is not None or ends_by_loss


def together(problem, solver):
    """The problem with one objective of all targets, if their steps do not depend on each other; else as it is."""
    form = problem.form
    if form.n_objectives == 1 or not _steps_alone(solver, problem.X) or follows_targets(solver, problem):
        return problem
    if problem.loss_numbers is not None and np.ptp(problem.loss_numbers) != 0:
        return problem
    joined = form._replace(n_outputs=form.n_objectives, n_labels=form.n_objectives, n_objectives=1)
    return problem._replace(form=joined)


def _steps_alone(solver, X):
    """Whether the steps of an entry of the parameters depend on its own gradients alone.

    Those of single samples also depend on which samples are equal, and that on their targets.
    """
    if solver in FINITE_SUM_METHODS:
        return _samples.all_different(X)
    return solver in OPTIMIZERS and not _core.couples_entries(OPTIMIZERS[solver].rule)
