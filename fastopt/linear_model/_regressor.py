"""The regressor."""

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if

from .._validation import linear_model as validation
from . import _samples
from ._base import LinearModel, takes_chunks, unchanged_on_failure
from ._losses import REGRESSION


class LinearRegressor(MultiOutputMixin, RegressorMixin, LinearModel):
    r"""Linear regression, with the interface of scikit-learn.

    Parameters
    ----------
    loss : {"squared_error", "huber", "poisson"}, default="squared_error"
        Least squares, a robust loss, or that of counts, whose predictions are the exponential of the margins.
    loss_parameter : float or None, default=None
        The number that a loss has: of "huber" where it turns from a square to a line, in the units of y; by default a
        fifth of the deviation of each target, estimated from the median of distances from the median. `partial_fit`
        takes the default from the first chunk.
    <common parameters>
    <common more>

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients.
    intercept_ : float or ndarray of shape (n_targets,)
        0 without `fit_intercept`.
    loss_parameter_ : ndarray of shape (n_targets,)
        What `loss_parameter` was or stood for; only for "huber".
    <common attributes>

    See Also
    --------
    LinearClassifier : Classification.

    Notes
    -----
    <common notes>

    Several targets are fitted one after the other, with the same order of the samples.

    Examples
    --------
    >>> import numpy as np
    >>> from fastopt.linear_model import LinearRegressor
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> model = LinearRegressor(alpha=0).fit(X, [1.0, 3.0, 5.0, 7.0])
    >>> model.predict([[4.0]]).round(3).tolist()
    [9.0]
    """

    _losses = REGRESSION

    def __init__(
        self, loss="squared_error", *, loss_parameter=None, penalty="l2", alpha=1e-4, l1_ratio=0.15,
        fit_intercept=True, solver="auto", learning_rate=None, batch_size=256, max_iter=100, tol=1e-4,
        n_iter_no_change=5, early_stopping=False, validation_fraction=0.1, average=False, warm_start=False,
        random_state=None, n_jobs=None, verbose=0,
    ):  # fmt: skip
        self.loss = loss
        self.loss_parameter = loss_parameter
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.average = average
        self.warm_start = warm_start
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X, y, sample_weight=None):
        """Fit the model; if this raises, the estimator stays as it was.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            The samples.
        y : array_like of shape (n_samples,) or (n_samples, n_targets)
            Their targets; for ``loss="poisson"`` at least 0.
        sample_weight : array_like of shape (n_samples,), optional
            At least 0; by default 1.

        Returns
        -------
        LinearRegressor
            The estimator.
        """
        with unchanged_on_failure(self):
            settings = self._settings()
            X, targets, weights = self._samples(X, y, sample_weight, settings, True)
            X, targets, weights = _samples.without_zero_weights(X, targets, weights)
            form = self._form(X, settings, 1, targets.shape[1])
            return self._fit(X, targets, weights, settings, form)

    @available_if(takes_chunks)
    def partial_fit(self, X, y, sample_weight=None):
        """Go once over a chunk of samples, in their order; if this raises, the estimator stays as it was.

        Not for "lbfgs", "saga" and "svrg". For the solvers "auto" and None it is "adagrad". The optimizer's state is
        kept from call to call.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            The samples. Shuffle them first: their order is that of the mini-batches.
        y : array_like of shape (n_samples,) or (n_samples, n_targets)
            Their targets.
        sample_weight : array_like of shape (n_samples,), optional
            At least 0; by default 1. The weights of a chunk are divided by their mean.

        Returns
        -------
        LinearRegressor
            The estimator.
        """
        with unchanged_on_failure(self):
            settings = self._settings()
            X, targets, weights = self._samples(X, y, sample_weight, settings, not hasattr(self, "coef_"))
            form = self._form(X, settings, 1, targets.shape[1])
            return self._partial_fit(X, targets, weights, settings, form)

    def predict(self, X):
        """Return the predictions.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_targets)
            The margins, or what the loss makes of them.
        """
        margins, mean = self._margins(X), self._losses[self.loss].mean
        margins = margins[:, 0] if self.coef_.ndim == 1 else margins
        return margins if mean is None else mean(margins)

    def _samples(self, X, y, sample_weight, settings, reset):
        """X, a column for each target, and the weights."""
        X, y, weights = self._checked(X, y, sample_weight, reset, multi_output=True, y_numeric=True)
        if y.ndim == 2 and not self.__sklearn_tags__().target_tags.multi_output and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if settings.loss.positive:
            validation.not_negative(y, settings.loss_name)
        self._single = y.ndim == 1
        return X, np.asarray(y, np.float64).reshape(len(y), -1), weights

    def _set_coefficients(self, form, parameters):
        coef, intercept = form.coefficients(parameters)
        self.coef_, self.intercept_ = (coef[0], intercept[0]) if self._single else (coef, intercept)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        positive = getattr(REGRESSION.get(self.loss), "positive", False)
        tags.target_tags.positive_only = positive
        tags.target_tags.multi_output = not positive  # the checks for both at once are given negative targets
        return tags
