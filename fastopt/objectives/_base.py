"""The base class of all objectives: everything that does not depend on the loss."""

from __future__ import annotations

import numpy as np

from .. import _threads
from .._finite_sum import objective as finite_sum
from .._types import Array, ArrayLike, Samples
from .._validation import objectives as validation
from .._validation.optimizers import refuse_base_class
from .._validation.scalars import flag

COMMON_PARAMETERS = """l2, l1 : float, default=0.0
        Strength of the penalties ``l2 / 2 * |w|**2`` and ``l1 * |w|_1``, in [0, inf). The intercept is not penalised.
    fit_intercept : bool, default=False
        Whether the last entry of `x` is added to every margin.
    sample_weight : array_like of shape (n_samples,), optional
        At least 0, not all of them 0; divided by their mean. A sample of weight 0 counts as left out."""

COMMON_X = """X : ndarray or scipy.sparse CSR matrix of shape (n_samples, n_features)
        Of float32 or float64, rows contiguous, in either direction. Used in place, and must not be changed while the
        objective is in use. A CSR matrix with duplicates or unsorted rows is copied; of one whose `indptr` and
        `indices` have different dtypes the `indptr` is."""

METHODS = """Calling the objective with `x`, of shape (n_parameters,), gives its value; see `gradient` and
    `value_and_gradient`. All run on several threads, and give the same bits for any number of them. Sums are taken in
    float64."""


def _restored(cls, attributes):
    """An objective from what a copy or a pickle holds; its data were checked when it was made."""
    objective = cls.__new__(cls)
    objective.__dict__.update(attributes)
    objective._attach()
    return objective


def _samples(X):
    """X as the kernels take it: in place, unless it is a CSR matrix with duplicates or unsorted rows."""
    X = validation.samples(X)
    faults = finite_sum.faults(X, _threads.resolve(None))
    validation.column_range(X, faults)
    if "not ascending" in faults:  # SciPy's own flag may have been set by hand
        X = X.copy()
        X.sum_duplicates()
        faults = finite_sum.faults(X, _threads.resolve(None))
    validation.finite_samples(faults)
    return X


class Objective(finite_sum.FiniteSum):
    """Mean loss of a linear model over samples, with penalties: a function for `fastopt.minimize`.

    Base class of the losses in `fastopt.objectives`. With margins ``z = X @ w`` (plus the intercept) it is the mean
    of ``sample_weight * loss(z, y)``, plus ``l2 / 2 * |w|**2 + l1 * |w|_1``.
    """

    loss = None
    curvature = np.inf
    """Largest second derivative of the loss by a margin."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for name, text in {"X": COMMON_X, "parameters": COMMON_PARAMETERS, "methods": METHODS}.items():
            cls.__doc__ = (cls.__doc__ or "").replace(f"<common {name}>", text)

    def __init__(
        self,
        X: Samples,
        y: ArrayLike,
        *,
        l2: float = 0.0,
        l1: float = 0.0,
        fit_intercept: bool = False,
        sample_weight: ArrayLike | None = None,
    ) -> None:
        if self.loss is None:
            refuse_base_class(type(self).__name__, "a loss", "fastopt.objectives.Logistic")
        X = _samples(X)
        labels, n_outputs = self._labels(validation.vector("y", y, X.shape[0]))
        weights = validation.weights(sample_weight, X.shape[0])
        self.l2, self.l1 = validation.strength("l2", l2), validation.strength("l1", l1)
        self.fit_intercept = flag("fit_intercept", fit_intercept)
        self.X, self.n_outputs, self.dtype = X, n_outputs, X.dtype
        self.n_samples, self.n_features = X.shape
        self.n_parameters = (self.n_features + self.fit_intercept) * n_outputs
        labels, weights = (
            validation.in_dtype(name, each, X.dtype) for name, each in (("y", labels), ("sample_weight", weights))
        )
        self._bound = labels, weights
        self._attach()

    def _attach(self):
        """Bind the data for the C kernels."""
        self._bind(self.X, (self.loss, self._loss_parameter()), *self._bound, self.n_outputs, self.fit_intercept)

    def __reduce__(self):
        return _restored, (type(self), self.__dict__)

    def _labels(self, y):
        """The labels in the form that the loss needs, and the number of outputs."""
        return y, 1

    def _loss_parameter(self):
        """The loss's own parameter, 0 if it has none."""
        return 0.0

    def __call__(self, x: ArrayLike, idx: ArrayLike | None = None) -> float:
        """Return the value at x, over the samples `idx` if they are given."""
        w, index = validation.parameters(x, self), self._index(idx)
        return self._evaluate(w, index, False, _threads.resolve(None))[0] + self._penalty(w)

    def gradient(self, x: ArrayLike, idx: ArrayLike | None = None) -> Array:
        """Return the gradient at x.

        Parameters
        ----------
        x : array_like of shape (n_parameters,)
            The parameters; converted to the dtype of `X`.
        idx : array_like of int, optional
            Samples to take the mean over, repeats allowed; by default all.

        Returns
        -------
        ndarray of shape (n_parameters,)
            float32 for float32 `x`, else float64. Where an entry of `x` is 0, that of ``l1 * |w|_1`` counts as 0.
        """
        return self.value_and_gradient(x, idx)[1]

    def value_and_gradient(self, x: ArrayLike, idx: ArrayLike | None = None) -> tuple[float, Array]:
        """Return value and gradient at x, in the time of the gradient alone; arguments as for `gradient`."""
        w, index = validation.parameters(x, self), self._index(idx)
        value, gradient = self._evaluate(w, index, True, _threads.resolve(None))
        with np.errstate(over="ignore", invalid="ignore"):
            self._add_penalty_gradient(w, gradient)
            return value + self._penalty(w), gradient.astype(validation.result_dtype(x), copy=False)

    def decision_function(self, x: ArrayLike, X: Samples = None) -> Array:
        """Return the margins of the objective's samples or of those in `X`: shape (n,), for classes (n, n_outputs)."""
        X = self.X if X is None else validation.other_samples(X, self)
        w = validation.parameters(x, self).reshape(-1, self.n_outputs)
        margins = np.asarray(X @ w[: self.n_features])
        if self.fit_intercept:
            margins = margins + w[-1]
        return margins[:, 0] if self.n_outputs == 1 else margins

    @property
    def max_smoothness(self) -> float:
        """Largest Lipschitz constant of the gradient of one sample's loss, with `l2`; infinite if there is none."""
        if np.isinf(self.curvature):
            return np.inf
        return self.curvature * self._largest_norm(_threads.resolve(None)) + self.l2

    def _index(self, idx):
        return None if idx is None else validation.sample_index(idx, self.n_samples)

    def _penalised(self, x):
        """The entries of the parameters that are penalised: all but the intercepts."""
        return x[: self.n_features * self.n_outputs]

    def _penalty(self, x):
        if self.l1 == 0 and self.l2 == 0:
            return 0.0
        w = self._penalised(x)
        with np.errstate(over="ignore", invalid="ignore"):
            squares = float(np.square(w, dtype=np.float64).sum())
            return self.l2 / 2 * squares + self.l1 * float(np.abs(w).sum(dtype=np.float64))

    def _add_penalty_gradient(self, x, gradient):
        w, g = self._penalised(x), self._penalised(gradient)
        if self.l2:
            g += self.l2 * w
        if self.l1:
            g += self.l1 * np.sign(w)

    def __repr__(self):
        shape = f"{self.n_samples:,} x {self.n_features:,}"
        kind = "sparse" if hasattr(self.X, "tocsr") else "dense"
        changed = [f"{name}={getattr(self, name)!r}" for name in ("l2", "l1", "fit_intercept") if getattr(self, name)]
        settings = f"({', '.join(changed)})" if changed else ""
        return f"<{type(self).__name__}{settings}: {shape} {self.dtype} samples, {kind}>"
