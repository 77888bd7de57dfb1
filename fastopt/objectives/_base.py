"""The base class of all objectives: everything that does not depend on the loss."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .. import _rebuilding, _threads
from .._docstrings import insert_common
from .._finite_sum import objective as finite_sum
from .._memory import frozen
from .._types import Array, ArrayLike, Samples
from .._validation import objectives as validation
from .._validation.optimizers import refuse_base_class
from .._validation.scalars import flag

COMMON_PARAMETERS = """\
l2, l1 : float, default=0.0
    Strength of the penalties ``l2 / 2 * |w|**2`` and ``l1 * |w|_1``, in [0, inf). The intercept is not penalised.
fit_intercept : bool, default=False
    Whether the last entry of `x` is added to every margin.
sample_weight : array_like of shape (n_samples,), optional
    At least 0, with ``weight_scale="mean"`` not all of them 0. A sample of weight 0 counts as left out.
weight_scale : {"mean", None}, default="mean"
    What `sample_weight` is divided by: its mean, or nothing.
linear : array_like, optional
    Added to the objective as ``linear @ x``; of the shape of `x`."""

COMMON_X = """\
X : ndarray or scipy.sparse CSR matrix of shape (n_samples, n_features)
    Of float32 or float64, rows contiguous, in either direction. The numbers are used in place, and must not be changed
    while the objective is in use; the indices of a CSR matrix are copied. One with duplicates or unsorted rows is
    copied as a whole."""

METHODS = """\
Calling the objective with `x`, of shape (n_parameters,), gives its value; see `gradient` and
`value_and_gradient`. All run on several threads, and give the same bits for any number of them. Sums are taken in
float64."""


def _restored(cls, data, settings, attributes):
    """An objective from what a copy or a pickle holds."""
    objective = cls.__new__(cls)
    objective.__dict__.update(attributes)
    X, *arrays = data
    objective._bind_data(_samples(_rebuilding.readable(X)), [frozen(each) for each in arrays], *settings)
    return objective


def _samples(X):
    """X as the kernels read it: in place, unless it is a CSR matrix with duplicates or unsorted rows."""
    samples = finite_sum.Samples(validation.samples(X))
    faults = samples.faults(_threads.resolve(None))
    validation.column_range(samples.own, faults)
    if "not ascending" in faults:
        X = samples.own.copy()
        X.sum_duplicates()
        samples = finite_sum.Samples(X)
        faults = samples.faults(_threads.resolve(None))
    validation.finite_samples(faults)
    return samples


class Weighting(NamedTuple):
    """What was made of the sample weights.

    Attributes
    ----------
    scale : str or None
        What they were divided by.
    unit : float
        The same as a number.
    total : float
        Their sum as they were given.
    given : ndarray or None
        As they were given, of shape (n_samples,); None if they are as the objective has them.
    """

    scale: str | None
    unit: float
    total: float
    given: Array | None = None


class Objective(finite_sum.FiniteSum):
    """Mean loss of a linear model over samples, with penalties: a function for `fastopt.minimize`.

    Base class of the losses in `fastopt.objectives`. With margins ``z = X @ w`` (plus the intercept) it is the mean
    of ``sample_weight * loss(z, y)``, plus ``l2 / 2 * |w|**2 + l1 * |w|_1 + linear @ x``.
    """

    loss = None
    _own = ()  # names of the loss's own parameters
    _takes_targets = True  # whether `y` may have several columns
    curvature = np.inf
    """Largest second derivative of the loss by a margin."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        insert_common(cls, {"X": lambda: COMMON_X, "parameters": lambda: COMMON_PARAMETERS, "methods": lambda: METHODS})

    def __init__(
        self,
        X: Samples,
        y: ArrayLike,
        *,
        l2: float = 0.0,
        l1: float = 0.0,
        fit_intercept: bool = False,
        sample_weight: ArrayLike | None = None,
        weight_scale: str | None = "mean",
        linear: ArrayLike | None = None,
    ) -> None:
        if self.loss is None:
            refuse_base_class(type(self).__name__, "a loss", "fastopt.objectives.Logistic")
        samples = _samples(X)
        n_samples, dtype = samples.own.shape[0], samples.own.dtype
        labels, n_outputs = self._labels(validation.labels(y, n_samples, self._takes_targets))
        weights, weighting = self._weights(sample_weight, n_samples, weight_scale)
        penalties = validation.strength("l2", l2), validation.strength("l1", l1), flag("fit_intercept", fit_intercept)
        rows = samples.own.shape[1] + penalties[-1]
        arrays = {"y": labels, "sample_weight": weights}
        if linear is not None:
            arrays["linear"] = validation.linear(linear, rows, n_outputs)
        arrays = [frozen(validation.in_dtype(name, each, dtype)) for name, each in arrays.items()]
        self._bind_data(samples, arrays, n_outputs, penalties, _weighting=weighting)

    @staticmethod
    def _weights(sample_weight, n_samples, weight_scale):
        """The sample weights as they are used, and what was made of them."""
        given, weights, unit = validation.weights(sample_weight, n_samples, weight_scale)
        with np.errstate(over="ignore"):
            total = float(given.sum())
        return weights, Weighting(weight_scale, unit, total, None if given is weights else frozen(given))

    def _bind_data(self, samples, arrays, n_outputs, penalties, **attributes):
        """Bind the data for the C kernels: samples, labels, weights and, if there is one, the linear part.

        Other threads find the attributes as soon as they find the data.
        """
        self._bind(samples, (self.loss, self._loss_parameter(), n_outputs), arrays, penalties, attributes)

    def __reduce__(self):
        self._check_memory()
        settings = self.n_outputs, (self.l2, self.l1, self.fit_intercept)
        return _restored, (type(self), (self.X, *self._bound), settings, self.__dict__)

    @property
    def _given_weights(self):
        """The sample weights as they were given."""
        given = self._known_weighting.given
        return self._bound[1] if given is None else given

    def _with_samples(self, X, y, weights):
        """The same objective over other samples, with labels as they are bound and weights as they are given."""
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        arrays = [validation.in_dtype("y", y, self.dtype), validation.in_dtype("sample_weight", weights, self.dtype)]
        arrays = [frozen(each) for each in (*arrays, *self._bound[2:])]
        outputs = y.shape[1] if self._takes_targets else self.n_outputs
        other._bind_data(_samples(X), arrays, outputs, (self.l2, self.l1, self.fit_intercept))
        other._weighting = self._known_weighting._replace(given=frozen(np.array(weights, np.float64)))
        return other

    def _over_all(self, unit, n_outputs):
        """The same objective as a part of one over more samples, whose weights have this mean, and these outputs."""
        other, scale = type(self).__new__(type(self)), self.weight_scale
        other.__dict__.update(self.__dict__)
        labels, weights, *linear = self._bound
        if scale is not None:
            weights = frozen(validation.in_dtype("sample_weight", self._given_weights / unit, self.dtype))
        settings = n_outputs, (self.l2, self.l1, self.fit_intercept)
        other._bind_data(self._samples, [labels, weights, *linear], *settings)
        return other

    def _over(self, X, y):
        """The same loss over other samples, without penalties and weights."""
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        Objective.__init__(other, X, y, fit_intercept=self.fit_intercept)
        return other

    def _labels(self, y):
        """The labels in the form that the loss needs, and the number of outputs."""
        return self._checked(y), 1 if y.ndim == 1 else y.shape[1]

    def _checked(self, y):
        """The labels of a loss of one margin, if it takes them."""
        return y

    def _loss_parameter(self):
        """The loss's own parameter, 0 if it has none."""
        return 0.0

    def __call__(self, x: ArrayLike, idx: ArrayLike | None = None) -> float:
        """Return the value at x, over the samples `idx` if they are given."""
        w, index = self._parameters(x), self._index(idx)
        return self._evaluate(w, index, False, _threads.resolve(None))[0] + self._added_value(w)

    def gradient(self, x: ArrayLike, idx: ArrayLike | None = None) -> Array:
        """Return the gradient at x.

        Parameters
        ----------
        x : array_like of shape (n_parameters,)
            The parameters; converted to the dtype of `X`. With several outputs also the same as a matrix, of shape
            (n_features, n_outputs), and one more row if there are intercepts.
        idx : array_like of int, optional
            Samples to take the mean over, repeats allowed; by default all.

        Returns
        -------
        ndarray
            Of the shape of `x`; float32 for float32 `x`, else float64. Where an entry of `x` is 0, that of
            ``l1 * |w|_1`` counts as 0.
        """
        return self.value_and_gradient(x, idx)[1]

    def value_and_gradient(self, x: ArrayLike, idx: ArrayLike | None = None) -> tuple[float, Array]:
        """Return value and gradient at x, in the time of the gradient alone; arguments as for `gradient`."""
        w, index = self._parameters(x), self._index(idx)
        value, gradient = self._evaluate(w, index, True, _threads.resolve(None))
        with np.errstate(over="ignore", invalid="ignore"):
            self._add_to_gradient(w, gradient)
            return value + self._added_value(w), self._like(x, gradient)

    def sums(self, x: ArrayLike, idx: ArrayLike | None = None) -> tuple[float, Array]:
        """Return the sum of ``sample_weight * loss`` over samples and its gradient at x; arguments as for `gradient`.

        The weights are those that were given, whatever `weight_scale` says, or 1 if none were. Nothing is divided, and
        neither penalties nor the linear part are in it: sums over parts of the samples, also those that other objects
        hold, add up. With ``weight_scale="mean"``, the objective is ``sums(x)[0] / total_weight`` and these.
        """
        w, index = self._parameters(x), self._index(idx)
        value, gradient = self._sum(w, index, True, _threads.resolve(None))
        unit = self._weighting.unit
        with np.errstate(over="ignore", invalid="ignore"):
            return value * unit, self._like(x, gradient * unit)

    def _like(self, x, gradient):
        """A gradient in the shape of x, and in its dtype if that is one of ours."""
        return gradient.astype(validation.result_dtype(x), copy=False).reshape(np.shape(x))

    def decision_function(self, x: ArrayLike, X: Samples = None) -> Array:
        """Return the margins of the objective's samples or of those in `X`: shape (n,), of several outputs (n, k)."""
        X = self._own_samples() if X is None else validation.other_samples(X, self)
        w = self._parameters(x).reshape(-1, self.n_outputs)
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

    @property
    def weight_scale(self) -> str | None:
        """What the sample weights were divided by."""
        return self._known_weighting.scale

    @property
    def total_weight(self) -> float:
        """Sum of the sample weights that were given; their number if none were."""
        return self._known_weighting.total

    @property
    def _known_weighting(self):
        self._check_initialised()
        return self._weighting

    def _own_samples(self):
        self._check_memory()
        return self._samples.own

    def _parameters(self, x):
        self._check_initialised()
        return validation.parameters(x, self)

    def _is_matrix(self, shape):
        """Whether this is the shape of the parameters of several outputs as a matrix, a column for each."""
        return self.n_outputs > 1 and shape == (self.n_features + self.fit_intercept, self.n_outputs)

    def _index(self, idx):
        return None if idx is None else validation.sample_index(idx, self.n_samples)

    def _penalised(self, x):
        """The entries of the parameters that are penalised: all but the intercepts."""
        return x[: self.n_features * self.n_outputs]

    def _added_value(self, x):
        """What is added to the mean loss: the penalties and the linear part."""
        with np.errstate(over="ignore", invalid="ignore"):
            linear = 0.0 if self.linear is None else float(np.multiply(self.linear, x, dtype=np.float64).sum())
            return self._penalty(x) + linear

    def _penalty(self, x):
        w, penalty = self._penalised(x), 0.0
        if self.l2:
            penalty += self.l2 / 2 * float(np.square(w, dtype=np.float64).sum())
        if self.l1:
            penalty += self.l1 * float(np.abs(w).sum(dtype=np.float64))
        return penalty

    def _add_to_gradient(self, x, gradient):
        """Add the gradient of what is added to the mean loss."""
        w, g = self._penalised(x), self._penalised(gradient)
        if self.linear is not None:
            gradient += self.linear
        if self.l2:
            g += self.l2 * w
        if self.l1:
            g += self.l1 * np.sign(w)

    def __repr__(self):
        shape = f"{self.n_samples:,} x {self.n_features:,}"
        kind = "dense" if isinstance(self._samples.own, np.ndarray) else "sparse"
        changed = [*self._own, *(name for name in ("l2", "l1", "fit_intercept") if getattr(self, name))]
        changed += ["weight_scale"] if self.weight_scale is None else []
        changed = [f"{name}={getattr(self, name)!r}" for name in changed]
        changed += [] if self.linear is None else ["linear=..."]
        settings = f"({', '.join(changed)})" if changed else ""
        return f"<{type(self).__name__}{settings}: {shape} {self.dtype} samples, {kind}>"
