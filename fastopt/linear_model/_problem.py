"""What is minimized: one objective for each column of the targets, or one for all of them, over common samples."""

from typing import Any, NamedTuple

import numpy as np


class Form(NamedTuple):
    """How the coefficients of a model lie in the parameters of its objectives.

    Attributes
    ----------
    n_features, n_outputs : int
        Of one objective.
    n_objectives : int
        One for all classes or targets at once; else one for each class, or for each target.
    fit_intercept : bool
    dtype : numpy.dtype
    n_labels : int
        Columns of the targets that one objective has.
    """

    n_features: int
    n_outputs: int
    n_objectives: int
    fit_intercept: bool
    dtype: Any
    n_labels: int = 1

    @property
    def multinomial(self):
        """Whether an objective has a margin for each class, and one label."""
        return self.n_outputs > self.n_labels

    @property
    def n_rows(self):
        """Rows of `coef_`."""
        return self.n_outputs * self.n_objectives

    def zeros(self):
        size = (self.n_features + self.fit_intercept) * self.n_outputs
        return [np.zeros(size, self.dtype) for _ in range(self.n_objectives)]

    def parameters(self, coef, intercept):
        """The parameters of each objective, as new arrays."""
        matrix = np.ascontiguousarray(coef, self.dtype).reshape(self.n_rows, self.n_features)
        if self.fit_intercept:
            rows = np.asarray(intercept, self.dtype).reshape(self.n_rows, 1)
            matrix = np.hstack([matrix, rows])
        parts = np.split(matrix, self.n_objectives)
        return [np.array(part.T, order="C").ravel() for part in parts]

    def coefficients(self, parameters):
        """The opposite: `coef_` of shape (n_rows, n_features), and `intercept_` of shape (n_rows,)."""
        matrix = np.vstack([each.reshape(-1, self.n_outputs).T for each in parameters])
        intercept = matrix[:, -1].copy() if self.fit_intercept else np.zeros(self.n_rows, self.dtype)
        return np.array(matrix[:, : self.n_features], self.dtype, order="C"), intercept


class Problem(NamedTuple):
    """Samples with targets, and what is minimized over them.

    Attributes
    ----------
    X : ndarray or CSR matrix
    targets : ndarray of shape (n_samples, n_objectives * n_labels)
        In the form that the loss needs.
    weights : ndarray or None
    form : Form
    settings : Settings
    loss_numbers : ndarray or None
        The number that the loss has, for each target, if it has one.
    weight_scale : str or None
        What the weights are divided by, as of an objective.
    """

    X: Any
    targets: Any
    weights: Any
    form: Form
    settings: Any
    loss_numbers: Any = None
    weight_scale: Any = "mean"

    def over(self, X, targets, weights):
        """The same over other samples."""
        return self._replace(X=X, targets=targets, weights=weights)

    def alone(self, k):
        """The same with the k-th objective alone."""
        columns = slice(k * self.form.n_labels, (k + 1) * self.form.n_labels)
        numbers = None if self.loss_numbers is None else self.loss_numbers[columns]
        form = self.form._replace(n_objectives=1)
        return self._replace(targets=self.targets[:, columns], loss_numbers=numbers, form=form)

    def objective(self, penalised=True):
        """The objective, of a problem with one."""
        settings = self.settings
        cls, arguments = settings.loss.objective, {}
        if self.loss_numbers is not None:
            arguments[settings.loss.number.argument] = self.loss_numbers[0]
        if self.form.multinomial:
            cls, arguments["n_classes"] = settings.loss.multinomial, self.form.n_outputs
        l2, l1 = (settings.l2, settings.l1) if penalised else (0.0, 0.0)
        return cls(
            self.X, self.targets, l2=l2, l1=l1, fit_intercept=self.form.fit_intercept,
            sample_weight=self.weights, weight_scale=self.weight_scale, **arguments,
        )  # fmt: skip
