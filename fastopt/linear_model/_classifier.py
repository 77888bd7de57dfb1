"""The classifier."""

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelEncoder
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, check_classification_targets

from .._validation import linear_model as validation
from . import _samples
from ._base import LinearModel, takes_chunks, unchanged_on_failure
from ._losses import CLASSIFICATION


def has_probabilities(estimator):
    """Whether the loss has probabilities."""
    row = CLASSIFICATION.get(estimator.loss)
    return row is None or row.probabilities is not None


class LinearClassifier(ClassifierMixin, LinearModel):
    r"""Linear classification, with the interface of scikit-learn.

    Parameters
    ----------
    loss : {"log_loss", "hinge", "squared_hinge", "modified_huber"}, default="log_loss"
        Logistic regression, of more than two classes all at once (softmax); or a support vector machine, or a smooth
        loss that outliers do not dominate, of more than two classes each against the rest.
    <common parameters>
    class_weight : dict, "balanced" or None, default=None
        Factors of the sample weights: class -> weight, 1 for others. "balanced": inversely proportional to the number
        of samples; not for `partial_fit`.
    <common more>

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Zeros without `fit_intercept`.
    classes_ : ndarray of shape (n_classes,)
        The classes, in ascending order.
    <common attributes>

    See Also
    --------
    LinearRegressor : Regression.

    Notes
    -----
    <common notes>

    Examples
    --------
    >>> import numpy as np
    >>> from fastopt.linear_model import LinearClassifier
    >>> X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [3.0, 2.0]])
    >>> model = LinearClassifier().fit(X, ["low", "low", "high", "high"])
    >>> model.predict([[0.5, 0.5], [2.5, 2.0]]).tolist()
    ['low', 'high']
    """

    _losses = CLASSIFICATION

    def __init__(
        self, loss="log_loss", *, penalty="l2", alpha=1e-4, l1_ratio=0.15, fit_intercept=True, solver="auto",
        learning_rate=None, batch_size=256, max_iter=100, tol=1e-4, n_iter_no_change=5, early_stopping=False,
        validation_fraction=0.1, class_weight=None, average=False, warm_start=False, random_state=None, n_jobs=None,
        verbose=0,
    ):  # fmt: skip
        self.loss = loss
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
        self.class_weight = class_weight
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
        y : array_like of shape (n_samples,)
            Their classes, of any kind that can be sorted.
        sample_weight : array_like of shape (n_samples,), optional
            At least 0; by default 1.

        Returns
        -------
        LinearClassifier
            The estimator.
        """
        with unchanged_on_failure(self):
            settings = self._settings()
            X, y, weights = self._checked(X, y, sample_weight, chunk=False)
            check_classification_targets(y)
            encoder = LabelEncoder().fit(y)
            validation.at_least_two_classes("y", encoder.classes_)
            if settings.warm_start and hasattr(self, "classes_"):
                validation.same_classes(encoder.classes_, self.classes_)
            self.classes_ = encoder.classes_
            weights = self._weighted(y, weights, _samples.in_range)
            X, labels, weights = _samples.without_zero_weights(X, encoder.transform(y), weights)
            form = self._form_of_classes(X, settings)
            return self._fit(X, self._targets(labels, form), weights, settings, form, labels)

    @available_if(takes_chunks)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Go once over a chunk of samples, in their order; if this raises, the estimator stays as it was.

        Not for "lbfgs", "saga" and "svrg". For the solvers "auto" and None it is "adagrad". The optimizer's state is
        kept from call to call.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            The samples. Shuffle them first: their order is that of the mini-batches.
        y : array_like of shape (n_samples,)
            Their classes.
        classes : array_like of shape (n_classes,), optional
            All classes that there are; needed in the first call.
        sample_weight : array_like of shape (n_samples,), optional
            At least 0; by default 1. They are factors of the loss as they are: 2 counts twice in every chunk.

        Returns
        -------
        LinearClassifier
            The estimator.
        """
        with unchanged_on_failure(self):
            settings = self._settings()
            validation.no_balance(self.class_weight)
            X, y, weights = self._checked(X, y, sample_weight, chunk=True)
            _check_partial_fit_first_call(self, classes)
            validation.at_least_two_classes("classes", self.classes_)
            validation.known_classes(y, self.classes_)
            labels, form = np.searchsorted(self.classes_, y), self._form_of_classes(X, settings)
            weights = self._weighted(y, weights)
            return self._partial_fit(X, self._targets(labels, form), weights, settings, form)

    def decision_function(self, X):
        """Return the margins.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            Of two classes, positive for the second one.
        """
        margins = self._margins(X)
        return margins[:, 0] if margins.shape[1] == 1 else margins

    def predict(self, X):
        """Return the class of each sample.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            Entries of `classes_`.
        """
        margins = self.decision_function(X)
        return self.classes_[(margins > 0).astype(int) if margins.ndim == 1 else margins.argmax(axis=1)]

    @available_if(has_probabilities)
    def predict_proba(self, X):
        """Return the probability of each class; only for the losses "log_loss" and "modified_huber".

        Those of "modified_huber" are ``(z + 1) / 2``, limited to [0, 1], of the margin z; of more than two classes
        divided by their sum, or all the same where that is 0 (Zadrozny & Elkan 2002).

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`; the sum of a row is 1.
        """
        return self._losses[self.loss].probabilities(self._margins(X))

    @available_if(has_probabilities)
    def predict_log_proba(self, X):
        """Return the logarithms of `predict_proba`.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def _form_of_classes(self, X, settings):
        n = len(self.classes_)
        if n == 2:
            return self._form(X, settings, 1, 1)
        return self._form(X, settings, n, 1) if settings.loss.multinomial else self._form(X, settings, 1, n)

    def _targets(self, labels, form):
        """Of class numbers: themselves for all classes at once, else -1 and 1, for the second class or for each one."""
        if form.multinomial:
            return labels[:, None]
        positive = np.arange(form.n_objectives) if form.n_objectives > 1 else [1]
        return np.where(labels[:, None] == positive, 1, -1)

    def _weighted(self, y, weights, scaled=np.asarray):
        """Sample weights times those of the classes, `scaled` before; None for 1 everywhere."""
        if self.class_weight is None:
            return weights
        of_class = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
        validation.class_weights(of_class)
        of_samples = scaled(of_class)[np.searchsorted(self.classes_, y)]
        return of_samples if weights is None else weights * of_samples

    def _set_coefficients(self, form, parameters):
        self.coef_, self.intercept_ = form.coefficients(parameters)
