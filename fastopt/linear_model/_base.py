"""The base class of both estimators: everything that does not depend on what the targets are."""

import contextlib
import copy
import functools
import inspect
import textwrap
import warnings

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .. import _threads
from .._docstrings import insert_common
from .._finite_sum.methods import FINITE_SUM_METHODS
from .._minimize.averages import Polyak
from .._validation import linear_model as validation
from ..optimizers import OPTIMIZERS, Optimizer
from . import _chunks, _rates, _samples, _saving, _settings, _solvers
from ._problem import Form, Problem
from ._together import may_stop, together

COMMON_PARAMETERS = """\
penalty : {"l2", "l1", "elasticnet", None}, default="l2"
    Of the coefficients, not of the intercept: see Notes.
alpha : float, default=1e-4
    Strength of the penalty, in [0, inf).
l1_ratio : float, default=0.15
    Share of l1 in ``penalty="elasticnet"``, in [0, 1].
fit_intercept : bool, default=True
    Whether the model has an intercept.
solver : str or None, default="auto"
    "lbfgs": SciPy's L-BFGS-B over all samples at once, in coordinates in which the columns of X are centred and
    scaled: for data of any units. "saga" and "svrg": single samples with reduced variance.
<optimizers>:
    mini-batches with the optimizer of that name in `fastopt.OPTIMIZERS`. None: what
    ``fastopt.minimize(method=None)`` stands for, which needs no learning rate. "auto": "lbfgs" up to
    10,000,000 entries of X (times classes), without a `learning_rate`, `early_stopping` and `average`; else None.
    Scale the features first, unless the solver is "lbfgs".
learning_rate : float, callable or None, default=None
    In (0, inf), or a schedule of `fastopt.schedules`. None: made from the data for "sgd", "asgd", "saga" and "svrg",
    found by "cocob" and "prodigy", 0.2 for "adagrad" and "ftrl", 0.03 for "rmsprop", else 0.05.
batch_size : int, default=256
    Samples in a mini-batch; all of them if there are fewer.
max_iter : int, default=100
    Most epochs: passes over the samples. For "lbfgs" most iterations.
tol : float or None, default=1e-4
    The fit ends when the loss has not fallen by more than ``tol * max(1, |best|)`` for `n_iter_no_change` epochs and is
    near its best, as `fastopt.minimize` has it; the loss of the samples held out with `early_stopping`. "lbfgs" ends
    when no entry of the gradient in its coordinates is larger than `tol`, nor than `tol` times the largest where all
    are zero; for the losses "hinge", "quantile" and "epsilon_insensitive" as the others, after so many iterations, with
    the loss where all are zero in the place of 1 if that is less. None: after `max_iter` epochs.
n_iter_no_change : int, default=5
    See `tol`. A quarter of `max_iter`, if that is more, for the solver None and those that find a rate, whose first
    steps are tiny.
early_stopping : bool, default=False
    Hold out some of the samples, and return the coefficients of the epoch with the smallest loss over them; not for
    "lbfgs".
validation_fraction : float, default=0.1
    Share of the samples that `early_stopping` holds out, in (0, 1)."""

MORE_PARAMETERS = """\
average : bool, default=False
    Whether the coefficients are the mean of those after each step, from the second epoch on; not for "lbfgs", nor for
    "asgd" and "schedulefreeadamw", whose coefficients are an average anyway.
warm_start : bool, default=False
    Whether `fit` begins with the coefficients that are there, not with zeros.
random_state : int, RandomState or None, default=None
    Makes the order of the samples and what is held out. The same integer gives the same bits.
n_jobs : int or None, default=None
    Number of threads, -1 for all cores. None: what `fastopt.get_num_threads` says. Results do not depend on it.
verbose : int, default=0
    Whether to print a line for each epoch."""

COMMON_ATTRIBUTES = """\
n_iter_ : int
    Number of epochs, the largest one of several fits; of `partial_fit`, number of calls.
loss_curve_ : list of float
    The objective in each epoch, the mean of several fits.
validation_curve_ : list of float
    The loss of the samples held out; only with `early_stopping`.
n_features_in_ : int
    Number of features.
feature_names_in_ : ndarray of shape (n_features_in_,)
    Their names, if X has names that are all strings."""

NOTES = """\
Minimized is, with margins ``z = X @ w + b``,

.. math::

    \\frac{\\sum_i s_i \\, \\ell(z_i, y_i)}{\\sum_i s_i} + \\alpha \\left(\\frac{1 - \\rho}{2} \\|w\\|^2 + \\rho
    \\|w\\|_1\\right)

with the sample weights :math:`s` and the share :math:`\\rho` of l1. A sample of weight 2 is the same as two samples,
one of weight 0 counts as left out. The losses are those of `fastopt.objectives`.

X is used in place if it is a C-contiguous array or a CSR matrix of float32 or float64, whose dtype the coefficients
have; else it is converted. "lbfgs", "saga" and "svrg" work on a copy in which equal samples are one."""

# Lets all weights of a chunk be 0, which scikit-learn does without being asked before it knows of this.
_TAKEN = inspect.signature(_check_sample_weight).parameters
ALL_ZERO = {name: True for name in ("allow_all_zero_weights",) if name in _TAKEN}

# What a fit leaves only with some settings.
OF_SOME_FITS = ("epsilon_", "validation_curve_")

# How X is read: in place where that is possible.
READ = {"accept_sparse": "csr", "dtype": [np.float64, np.float32], "order": "C"}


@contextlib.contextmanager
def unchanged_on_failure(estimator):
    """Leave an estimator as it was if what is done with it raises: whatever is done replaces attributes."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def takes_chunks(estimator):
    """Whether the solver has a meaning for samples that it sees once."""
    solver = estimator.solver
    return not (isinstance(solver, str) and solver.lower() in ("lbfgs", *FINITE_SUM_METHODS))


class LinearModel(BaseEstimator):
    """Base of the estimators.

    A subclass has the table of its losses in `_losses`, and says in `_settled` what coefficients look like.
    """

    _losses = None

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        names = ", ".join(f'"{name}"' for name in _solvers.SOLVERS if name in OPTIMIZERS)
        names = textwrap.fill(names, 112, initial_indent="    ", subsequent_indent="    ")
        common = {"parameters": COMMON_PARAMETERS.replace("<optimizers>", names), "more": MORE_PARAMETERS}
        common |= {"attributes": COMMON_ATTRIBUTES, "notes": NOTES}
        insert_common(cls, {name: functools.partial(str, text) for name, text in common.items()})

    def _settings(self):
        return _settings.checked(self, self._losses)

    def _checked(self, X, y, sample_weight, chunk, **how):
        """X, y and weights as scikit-learn wants them checked; the weights None where there are none.

        The number of features is not known yet, or a new one, unless a model goes on with a chunk.
        """
        X, y = validate_data(self, X, y, reset=not (chunk and hasattr(self, "coef_")), **READ, **how)
        if sample_weight is not None:
            allowed = ALL_ZERO if chunk else {}
            sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64, **allowed)
            sample_weight = sample_weight if chunk else _samples.in_range(sample_weight)
        return X, y, sample_weight

    def _fit(self, X, targets, weights, settings, form, labels=None):
        """Fit all targets, and set the attributes."""
        for name in OF_SOME_FITS:
            vars(self).pop(name, None)
        problem = Problem(X, targets, weights, form, settings, self._loss_numbers(targets, weights, settings, False))
        solver = _solvers.chosen(problem)
        problem = problem if may_stop(settings) else together(problem, solver)
        form = problem.form
        starts = form.zeros()
        if settings.warm_start and hasattr(self, "coef_"):
            starts = self._parameters(form, "warm_start=True")
        with _threads.threads(settings.n_threads):
            fits = _solvers.fit_each(problem, solver, starts, labels, self._seed())
        self._set_coefficients(form, [each.x for each in fits])
        self.n_iter_ = max(each.n_iter for each in fits)
        self.loss_curve_ = _mean_curve([each.curve for each in fits])
        if settings.held_out is not None:
            self.validation_curve_ = _mean_curve([each.validation for each in fits])
        self._optimizers = [each.optimizer for each in fits]
        self._averages = [None] * len(fits)
        if settings.tol is not None and not all(each.converged for each in fits):
            message = validation.not_converged(type(self).__name__, self.n_iter_)
            warnings.warn(message, ConvergenceWarning, stacklevel=3)
        return self

    def _partial_fit(self, X, targets, weights, settings, form):
        """Make the steps of a chunk with each objective's optimizer."""
        numbers = self._loss_numbers(targets, weights, settings, True)
        problem = Problem(X, targets, weights, form, settings, numbers, weight_scale=None)
        former, averages = getattr(self, "_optimizers", []), copy.deepcopy(getattr(self, "_averages", []))
        if len(former) < 2 or not any(isinstance(each, Optimizer) for each in former):
            problem = together(problem, _of_chunks(settings))
        form = problem.form
        if len(former) != form.n_objectives:
            former = averages = [None] * form.n_objectives
        starts = self._parameters(form, "partial_fit") if hasattr(self, "coef_") else form.zeros()
        optimizers, losses = [], []
        with _threads.threads(settings.n_threads):
            for k, start in enumerate(starts):
                one = problem.alone(k)
                objective = one.objective()
                optimizers.append(_optimizer(one, objective, start, former[k]))
                if settings.average and averages[k] is None:
                    averages[k] = Polyak(start)
                average = averages[k] if settings.average else None
                loss, status = _chunks.run(objective, optimizers[k], settings.batch_size, average)
                if status is not None:
                    validation.refuse_divergence(settings.loss_name, optimizers[k].learning_rate)
                losses.append((loss + objective._penalty(optimizers[k].params)) / form.n_labels)
        solutions = [each.solution() for each in optimizers]
        if settings.average:
            solutions = [each.answer(x) for each, x in zip(averages, solutions, strict=True)]
        for x in solutions:
            _solvers.check_finite(x, settings, optimizers[0].learning_rate)
        self._set_coefficients(form, solutions)
        self.n_iter_ = getattr(self, "n_iter_", 0) + 1
        self.loss_curve_ = [*getattr(self, "loss_curve_", []), float(np.mean(losses))]
        self._optimizers, self._averages = optimizers, averages
        return self

    def _loss_numbers(self, targets, weights, settings, goes_on):
        """The number that the loss has, for each target; what was made from the first chunk is kept for others."""
        if settings.loss.number is None:
            return None
        if settings.loss_number is not None:
            return np.full(targets.shape[1], settings.loss_number)
        former = getattr(self, "epsilon_", None)
        if not goes_on or former is None or len(former) != targets.shape[1]:
            self.epsilon_ = np.array([settings.loss.number.default(y, weights) for y in targets.T])
        return self.epsilon_

    def _saved(self):
        """The estimator as a tree for `fastopt.save`."""
        return _saving.tree_of(self)

    def _form(self, X, settings, n_outputs, n_objectives):
        return Form(X.shape[1], n_outputs, n_objectives, settings.fit_intercept, X.dtype)

    def _parameters(self, form, where):
        """The parameters to go on from, which are those of the coefficients."""
        shape = (form.n_rows, form.n_features)
        validation.same_coefficients(np.atleast_2d(self.coef_).shape, shape, where)
        return form.parameters(self.coef_, self.intercept_)

    def _margins(self, X):
        """The margins of samples: shape (n_samples, n_rows)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, accept_sparse="csr", dtype=[np.float64, np.float32])
        coef = np.atleast_2d(self.coef_)
        return safe_sparse_dot(X, coef.T, dense_output=True) + np.atleast_1d(self.intercept_)

    def _seed(self):
        """What makes the order of samples: `random_state` itself if it is an integer."""
        if isinstance(self.random_state, (int, np.integer)):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _of_chunks(settings):
    """The optimizer of chunks."""
    return settings.solver if settings.solver in OPTIMIZERS else _solvers.OF_CHUNKS


def _optimizer(problem, objective, start, former):
    """The optimizer of a chunk: a copy of the former one if it is of the solver, else a new one."""
    settings = problem.settings
    name = _of_chunks(settings)
    cls = OPTIMIZERS[name]
    if type(former) is not cls or former.params.dtype != start.dtype or former.params.shape != start.shape:
        rate = _rates.learning_rate(name, problem, objective)
        return cls(start, nonfinite="raise", **({} if rate is None else {"learning_rate": rate}))
    optimizer = copy.deepcopy(former)
    if settings.learning_rate is not None:
        optimizer.learning_rate = settings.learning_rate
    if not (settings.average or optimizer._reads_off):
        optimizer.params[...] = start  # which are its own, unless coef_ has been changed
    return optimizer


def _mean_curve(curves):
    """The mean of the curves of several targets; a target that has converged keeps its last loss."""
    longest = max(map(len, curves))
    return np.mean([[*curve, *curve[-1:] * (longest - len(curve))] for curve in curves], axis=0).tolist()
