"""A built-in objective over the samples of all ranks."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _threads
from .._types import Array, ArrayLike
from .._validation import distributed as checks
from .._validation import shared_runs as validation
from ..objectives._base import Objective
from ._collectives import gathered_numbers
from ._moving import moved
from ._parts import Parts
from ._ranks import PatientRanks

# What the objectives of all ranks have in common.
SAME = ("dtype", "n_features", "fit_intercept", "l2", "l1", "weight_scale", "linear")


class SharedObjective:
    """The mean loss over the samples of all ranks, with the penalties.

    Every method that evaluates it is a collective call.

    Parameters
    ----------
    objective : Objective
        Has the samples of this rank, of which there may be none.
    ranks : Ranks
    n_parts : int or None
        As of `Parts`.

    Attributes
    ----------
    own : Objective
        Over the same samples; their weights are divided by the mean of all, and there are outputs for all classes.
    parts : Parts
    """

    def __init__(self, objective, ranks, n_parts=None):
        self.ranks = ranks
        objective._check_memory()
        dense = isinstance(objective._samples.own, np.ndarray)
        own = {name: getattr(objective, name) for name in (*objective._own, *SAME)}
        ranks.same(fun=type(objective).__name__, X="dense" if dense else "CSR", **own)
        self.parts = Parts(ranks.comm, objective.n_samples, n_parts)
        validation.at_least_one_sample(self.parts.total)
        outputs = gathered_numbers(ranks.comm, objective.n_outputs if objective.n_samples else 0)
        n_outputs = int(outputs.max())
        objective = self._with_whole_parts(objective, n_outputs if objective._takes_targets else 1)
        self.total_weight = self._total_weight(objective)
        self.own = objective._over_all(self.total_weight / self.parts.total, n_outputs)
        self.n_samples = self.parts.total
        for name in ("n_features", "n_outputs", "n_parameters", "fit_intercept", "l2", "l1", "dtype", "curvature"):
            setattr(self, name, getattr(self.own, name))
        self.linear, self._is_matrix = self.own.linear, self.own._is_matrix
        self._penalised, self._added_value = self.own._penalised, self.own._added_value

    def _with_whole_parts(self, objective, n_labels):
        """The objective with the samples of whole parts."""
        if not self.parts.heads.any():
            return objective
        labels = objective._bound[0].reshape(objective.n_samples, n_labels)
        weights = np.asarray(objective._given_weights, np.float64)
        return objective._with_samples(*moved(self.ranks, self.parts, (objective._own_samples(), labels, weights)))

    def _total_weight(self, objective):
        given = objective._given_weights
        sums = [[given[self._of(part)].sum(dtype=np.float64)] for part in self.parts.own]
        return float(self.parts.sum(np.array(sums, np.float64).reshape(-1, 1))[0])

    def _of(self, part):
        """The samples of a part, as a slice of those of this rank."""
        samples = self.parts.of_own(part)
        return slice(samples.start, samples.stop)

    def _check_memory(self):
        """Refuse arrays that are no longer what was bound."""
        self.own._check_memory()

    def _over(self, X, y):
        """The same loss over other samples, without penalties and weights; those of this rank."""
        return self.own._over(X, y)

    def __call__(self, x, idx=None):
        w = self.own._parameters(x)
        return self._mean(w, idx, False)[0] + self._added_value(w)

    def gradient(self, x, idx=None):
        """The gradient at x, over all samples or those at an index."""
        return self.value_and_gradient(x, idx)[1]

    def value_and_gradient(self, x, idx=None):
        """Value and gradient at x, over all samples or those at an index."""
        w = self.own._parameters(x)
        value, gradient = self._mean(w, idx, True)
        with np.errstate(over="ignore", invalid="ignore"):
            self.own._add_to_gradient(w, gradient)
            return value + self._added_value(w), self.own._like(x, gradient)

    def _mean(self, w, idx, want_gradient):
        """Mean loss and, if it is wanted, its gradient, without penalties and the linear part."""
        index = None if idx is None else np.asarray(idx)
        n = self.n_samples if index is None else len(index)
        losses, gradients = [], []
        for part in self.parts.own:
            own = self._own_index(part, index)
            loss, gradient = 0.0, np.zeros(w.size if want_gradient else 0)
            if len(own):
                loss, found = self.own._sum(w, own, want_gradient, _threads.resolve(None))
                gradient = found if want_gradient else gradient
            losses.append([loss])
            gradients.append(gradient)
        self.ranks.agree()
        total = self.parts.sum(np.array(losses, np.float64).reshape(-1, 1))[0]
        if not want_gradient:
            return float(total) / n, None
        return float(total) / n, self.parts.sum(np.array(gradients).reshape(-1, w.size)) / n

    def mean_gradient(self, w, derivatives):
        """The gradient of the mean loss, with the linear part; writes the derivatives of the samples of this rank."""
        gradients = []
        for part in self.parts.own:
            own, gradient = self._own_index(part, None), np.zeros(w.size)
            if len(own):
                to = derivatives[own[0] : own[-1] + 1]
                gradient = self.own._sum(w, own, True, _threads.resolve(None), to)[1]
            gradients.append(gradient)
        self.ranks.agree()
        with np.errstate(over="ignore"):
            mean = self.parts.sum(np.array(gradients).reshape(-1, w.size)) / self.n_samples
            return mean if self.linear is None else mean + self.linear

    def _own_index(self, part, index):
        """The samples of a part among those of this rank; or those of them that an index of all samples has."""
        own = self.parts.of_own(part)
        if index is None:
            return np.arange(own.start, own.stop)
        index = index - self.parts.first
        return np.ascontiguousarray(index[(index >= own.start) & (index < own.stop)], np.int64)

    @property
    def max_smoothness(self):
        """The largest Lipschitz constant of the gradient of one sample's loss, of all ranks, with `l2`."""
        largest = self.own.max_smoothness if self.own.n_samples else self.l2
        return float(self.ranks.numbers(largest).max())


class GlobalFunction:
    """What `objective` returns: value and gradient over the samples of all ranks, as a function of `x`."""

    def __init__(self, shared):
        self._shared = shared

    def __call__(self, x: ArrayLike) -> tuple[float, Array]:
        """Value and gradient at x, which must be the same on all ranks: a collective call.

        Parameters
        ----------
        x : array_like of shape (n_parameters,)
            The parameters.

        Returns
        -------
        value : float
            The objective at `x`, over the samples of all ranks.
        gradient : ndarray
            Of the shape of `x`.
        """
        with PatientRanks(self._shared.ranks.comm) as self._shared.ranks:
            return self._shared.value_and_gradient(x)

    @property
    def n_parameters(self) -> int:
        """Length of `x`."""
        return self._shared.n_parameters

    @property
    def n_samples(self) -> int:
        """Number of samples of all ranks."""
        return self._shared.n_samples

    @property
    def total_weight(self) -> float:
        """Sum of the sample weights of all ranks; the number of samples if none were given."""
        return self._shared.total_weight

    @property
    def max_smoothness(self) -> float:
        """Largest Lipschitz constant of the gradient of one sample's loss, with `l2`: a collective call."""
        return self._shared.max_smoothness


def objective(obj: Objective, comm: Any, *, parts: int | None = None) -> GlobalFunction:
    """Make the function of value and gradient over the samples of all ranks, for methods of SciPy.

    Parameters
    ----------
    obj : Objective
        An object of `fastopt.objectives` over the samples of this rank; over `X` of shape (0, n_features) where it has
        none. Loss, penalties, dtype and number of columns are the same on all ranks.
    comm : mpi4py communicator
        Or any object with its upper-case methods.
    parts : int, optional
        Cut all samples in so many parts, of i * n // parts to (i + 1) * n // parts, and sum over these in their order:
        the same bits on any number of ranks. Samples of a part on two ranks are sent to the first.

    Returns
    -------
    GlobalFunction
        Called with `x` it returns ``(value, gradient)``, the same bits on all ranks; all of them must call it.

    Notes
    -----
    Sample weights are divided by the mean over all ranks, and `Softmax` has the classes of all ranks.

    Examples
    --------
    On every rank, with its own `X` and `y`::

        f = fastopt.distributed.objective(fastopt.objectives.Logistic(X, y, l2=1e-4), MPI.COMM_WORLD)
        res = scipy.optimize.minimize(f, np.zeros(f.n_parameters), jac=True, method="L-BFGS-B")
    """
    with PatientRanks(checks.communicator(comm)) as ranks:
        validation.built_in("obj", obj, Objective)
        n_parts = validation.n_parts(parts)
        ranks.same(parts=n_parts)
        return GlobalFunction(SharedObjective(obj, ranks, n_parts))
