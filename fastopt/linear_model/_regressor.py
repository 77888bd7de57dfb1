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
    loss : str, default="squared_error"
        "squared_error": least squares. "huber": squares of small residuals, absolute values of large ones.
        "epsilon_insensitive" and "squared_epsilon_insensitive": support vector regression, residuals up to `epsilon`
        cost nothing. "quantile": the pinball loss, whose prediction is a quantile. "poisson", "gamma" and "tweedie":
        half the deviance of counts, of amounts, and of both, whose predictions are the exponential of the margins.
    epsilon : float or None, default=None
        In the units of y: of "huber" where it turns from a square to a line, in (0, inf); of the losses
        "epsilon_insensitive" what a residual may be without cost, in [0, inf). None: of "huber" a fifth of the
        deviation of each target, estimated from the median of distances from the median, for `partial_fit` those of
        the first chunk; else 0.1. Other losses do not look at it.
    quantile : float, default=0.5
        What ``loss="quantile"`` predicts, in (0, 1).
    power : float, default=1.5
        Of ``loss="tweedie"``, whose variance is this power of the mean: in (-inf, 0] or [1, inf). 1 is "poisson", 2
        "gamma", 3 the inverse Gaussian distribution; between 1 and 2 are amounts of which many are 0.
    <common parameters>
    <common more>

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients.
    intercept_ : float or ndarray of shape (n_targets,)
        0 without `fit_intercept`.
    epsilon_ : ndarray of shape (n_targets,)
        What ``epsilon=None`` stood for; only for "huber".
    <common attributes>

    See Also
    --------
    LinearClassifier : Classification.

    Notes
    -----
    <common notes>

    Several targets are each fitted as if alone, with the same order of the samples; where that is the same to rounding,
    in one pass over the samples.

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
        self, loss="squared_error", *, epsilon=None, quantile=0.5, power=1.5, penalty="l2", alpha=1e-4,
        l1_ratio=0.15, fit_intercept=True, solver="auto", learning_rate=None, batch_size=256, max_iter=100, tol=1e-4,
        n_iter_no_change=5, early_stopping=False, validation_fraction=0.1, average=False, warm_start=False,
        random_state=None, n_jobs=None, verbose=0,
    ):  # fmt: skip
        self.loss = loss
        self.epsilon = epsilon
        self.quantile = quantile
        self.power = power
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
            Their targets; at least 0 for the losses "poisson" and "tweedie" of a power in [1, 2), above 0 for
            "gamma" and "tweedie" of a power of at least 2.
        sample_weight : array_like of shape (n_samples,), optional
            At least 0; by default 1.

        Returns
        -------
        LinearRegressor
            The estimator.
        """
        with unchanged_on_failure(self):
            settings = self._settings()
            X, targets, weights = self._samples(X, y, sample_weight, settings, chunk=False)
            X, targets, weights = _samples.without_zero_weights(X, targets, weights)
            form = self._form(X, settings, 1, targets.shape[1])
            return self._fit(X, targets, weights, settings, form)

    @available_if(takes_chunks)
    def partial_fit(self, X, y, sample_weight=None):
        """Go once over a chunk of samples, in their order; if this raises, the estimator stays as it was.

        Not for "lbfgs", "saga", "svrg" and "vw". For the solvers "auto" and None it is "adagrad". The optimizer's state
        is kept from call to call.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            The samples. Shuffle them first: their order is that of the mini-batches.
        y : array_like of shape (n_samples,) or (n_samples, n_targets)
            Their targets, as for `fit`.
        sample_weight : array_like of shape (n_samples,), optional
            At least 0; by default 1. They are factors of the loss as they are: 2 counts twice in every chunk.

        Returns
        -------
        LinearRegressor
            The estimator.
        """
        with unchanged_on_failure(self):
            settings = self._settings()
            X, targets, weights = self._samples(X, y, sample_weight, settings, chunk=True)
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
        margins, mean = self._margins(X), validation.loss_row(self.loss, self._losses).mean
        margins = margins[:, 0] if self.coef_.ndim == 1 else margins
        return margins if mean is None else mean(margins)

    def _samples(self, X, y, sample_weight, settings, chunk):
        """X, a column for each target, and the weights."""
        validation.dense_targets(y)
        X, y, weights = self._checked(X, y, sample_weight, chunk, multi_output=True, y_numeric=True)
        if y.ndim == 2 and not self.__sklearn_tags__().target_tags.multi_output and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        validation.targets_in_domain(y, self._domain(settings), settings.loss_name)
        self._single = y.ndim == 1
        return X, np.asarray(y, np.float64).reshape(len(y), -1), weights

    def _domain(self, settings):
        """The interval that targets must be in, or None."""
        return None if settings.loss.domain is None else settings.loss.domain(settings.loss_number)

    def _set_coefficients(self, form, parameters):
        coef, intercept = form.coefficients(parameters)
        self.coef_, self.intercept_ = (coef[0], intercept[0]) if self._single else (coef, intercept)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        try:
            positive = self._domain(self._settings()) is not None
        except (TypeError, ValueError):  # parameters that a fit would refuse
            positive = False
        tags.target_tags.positive_only = positive
        tags.target_tags.multi_output = not positive  # the checks for both at once are given negative targets
        return tags
