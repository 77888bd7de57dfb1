"""What is refused, in which words, and that an estimator is as before then."""

import copy
import io

import numpy as np
import pytest
import scipy.sparse

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import fastopt
from fastopt import CheckpointError
from fastopt.linear_model import LinearClassifier, LinearRegressor, _saving

SETTINGS = {
    "`loss` must be one of 'log_loss', 'hinge', 'squared_hinge', 'modified_huber', got 'logloss'": {"loss": "logloss"},
    "`penalty` must be one of None, 'l2', 'l1', 'elasticnet', got 'l3'": {"penalty": "l3"},
    "`alpha` must be in [0, inf), got -1.0": {"alpha": -1},
    "`l1_ratio` must be in [0, 1], got 1.5": {"l1_ratio": 1.5},
    "got 'adamm'. Did you mean `adam`": {"solver": "adamm"},
    "`solver` must be None or one of": {"solver": 3},
    "`learning_rate` must be in (0, inf), got 0.0": {"learning_rate": 0.0},
    '`learning_rate` must be None for `solver="lbfgs"`': {"learning_rate": 0.1, "solver": "lbfgs"},
    "`batch_size` must be a positive integer, got 0": {"batch_size": 0},
    "`max_iter` must be a positive integer, got 0": {"max_iter": 0},
    "`tol` must be in [0, inf), got -1.0": {"tol": -1.0},
    "`n_iter_no_change` must be a positive integer": {"n_iter_no_change": 0},
    "`early_stopping` must be True or False": {"early_stopping": "yes"},
    "`validation_fraction` must be in (0, 1), got 1.0": {"validation_fraction": 1.0},
    "`average` must be True or False": {"average": 10},
    "`average` must be False for `solver='schedulefreeadamw'`": {"average": True, "solver": "schedulefreeadamw"},
    "`average` must be False for `solver='asgd'`": {"average": True, "solver": "asgd"},
    '`average` must be False for `solver="lbfgs"`': {"average": True, "solver": "lbfgs"},
    '`early_stopping` must be False for `solver="lbfgs"`': {"early_stopping": True, "solver": "lbfgs"},
    "`n_jobs` must be an integer, got 1.5": {"n_jobs": 1.5},
    "`n_jobs` must be an integer, got 'all'": {"n_jobs": "all"},
    "`n_jobs` must be None or an integer other than 0, got 0": {"n_jobs": 0},
    "`verbose` must be an integer, got 'yes'": {"verbose": "yes"},
    "`verbose` must be a non-negative integer, got -1": {"verbose": -1},
    "`random_state` must be in [0, 2**32), got -1": {"random_state": -1, "solver": "adam"},
    "`random_state` must be in [0, 2**32), got 4294967296": {"random_state": 2**32, "solver": "adam"},
    "`random_state` must be None, an integer or a numpy.random.RandomState, got Generator": {
        "random_state": np.random.default_rng(0),
    },
    "`class_weight` must have weights in [0, inf), got -1.0": {"class_weight": {0: -1}},
    "`class_weight` must have weights in [0, inf), got nan": {"class_weight": {1: np.nan}},
    "`class_weight` must have weights in [0, inf), got inf": {"class_weight": {2: np.inf}},
}


@pytest.fixture
def samples(rng):
    X = rng.standard_normal((60, 4))
    return X, np.repeat([0, 1, 2], 20)


def unchanged(model, call, message, kind=ValueError):
    """The call is refused with a message that has this in it, and leaves the attributes what they were."""
    before = {name: copy.deepcopy(value) for name, value in vars(model).items()}
    with pytest.raises(kind) as caught:
        call()
    assert message in str(caught.value)
    assert vars(model).keys() == before.keys()
    for name, value in before.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(model, name), value)
        elif name != "_optimizers":
            assert getattr(model, name) == value or name == "_averages"


@pytest.mark.parametrize("message", SETTINGS)
def test_settings(samples, message):
    with pytest.raises((TypeError, ValueError)) as caught:
        LinearClassifier(**SETTINGS[message]).fit(*samples)
    assert message in str(caught.value)


NUMBERS = {
    "`epsilon` must be in (0, inf), got 0.0": {"loss": "huber", "epsilon": 0},
    "`epsilon` must be in [0, inf), got -1.0": {"loss": "epsilon_insensitive", "epsilon": -1},
    "`epsilon` must be in [0, inf), got nan": {"loss": "squared_epsilon_insensitive", "epsilon": np.nan},
    "`quantile` must be in (0, 1), got 1.0": {"loss": "quantile", "quantile": 1},
    "`quantile` must be a real number, got None": {"loss": "quantile", "quantile": None},
    "`power` must be at most 0 or at least 1, got 0.5": {"loss": "tweedie", "power": 0.5},
}


@pytest.mark.parametrize("message", NUMBERS)
def test_the_number_of_a_loss(samples, message):
    with pytest.raises((TypeError, ValueError)) as caught:
        LinearRegressor(**NUMBERS[message]).fit(*samples)
    assert message in str(caught.value)


DOMAINS = {
    "`y` must be at least 0 for `loss='poisson'`, got -1.0": (-1.0, {"loss": "poisson"}),
    "`y` must be above 0 for `loss='gamma'`, got 0.0": (0.0, {"loss": "gamma"}),
    "`y` must be at least 0 for `loss='tweedie'`, got -0.5": (-0.5, {"loss": "tweedie"}),
    "`y` must be above 0 for `loss='tweedie'`, got 0.0": (0.0, {"loss": "tweedie", "power": 3}),
}


@pytest.mark.parametrize("message", DOMAINS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_targets_that_a_loss_has_no_value_for(samples, message, method):
    X, y = samples[0], samples[1] + 1.0
    wrong, settings = DOMAINS[message]
    model = LinearRegressor(solver="adam", **settings).fit(X, y)
    y = np.append(y[:-1], wrong)
    unchanged(model, lambda: getattr(model, method)(X, y), message)
    unchanged(model, lambda: getattr(model, method)(X, np.column_stack([y + 1, y])), message)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_samples_that_are_not_finite(samples, method, wrong):
    X, y = samples
    model = LinearClassifier(solver="adam").fit(X, y)
    bad = X.copy()
    bad[3, 1] = wrong
    unchanged(model, lambda: getattr(model, method)(bad, y), "NaN" if np.isnan(wrong) else "infinity")


def test_classes(samples):
    X, y = samples
    model = LinearClassifier(solver="adam").fit(X, y)
    unchanged(model, lambda: model.fit(X, np.ones(60)), "`y` must hold at least 2 classes, got 1 class: 1.0")
    unchanged(model, lambda: model.partial_fit(X, y + 1), "got [3]; pass all of them as `classes`")
    unchanged(model, lambda: model.partial_fit(X, y, classes=[0, 1]), "classes")
    unchanged(model, lambda: model.fit(X, y + 0.5), "Unknown label type")
    model.set_params(class_weight={0: 0, 1: 0, 2: 0})
    unchanged(model, lambda: model.fit(X, y), "must be positive for at least one sample, got 0 for all")
    model.set_params(class_weight=None)
    first = LinearClassifier(solver="adam")
    unchanged(first, lambda: first.partial_fit(X, 0 * y, classes=[0]), "`classes` must hold at least 2 classes, got 1")
    unchanged(first, lambda: first.partial_fit(X, y), "classes must be passed on the first call")
    model.set_params(warm_start=True)
    unchanged(model, lambda: model.fit(X, y > 0), "`y` must hold the classes of the fit before, [0, 1, 2]")
    model.set_params(class_weight="balanced")
    unchanged(model, lambda: model.partial_fit(X, y), "`class_weight` must be a dict or None for partial_fit")


def test_other_numbers_of_features(samples):
    X, y = samples
    model = LinearRegressor(solver="adam").fit(X, y)
    unchanged(model, lambda: model.partial_fit(X[:, :3], y), "3 features, but LinearRegressor is expecting 4")
    unchanged(model, lambda: model.predict(X[:, :3]), "3 features, but LinearRegressor is expecting 4")
    unchanged(model, lambda: model.partial_fit(X, np.column_stack([y, y])), "`partial_fit` must go on with")
    model.set_params(warm_start=True)
    unchanged(model, lambda: model.fit(X[:, :3], y), "`warm_start=True` must go on with coefficients of shape (1, 3)")


def test_targets_and_weights(samples):
    X, y = samples
    model = LinearRegressor("poisson", solver="adam").fit(X, y)
    unchanged(model, lambda: model.fit(X, y - 1), "`y` must be at least 0 for `loss='poisson'`, got -1.0")
    unchanged(model, lambda: model.fit(X, y, sample_weight=np.zeros(60)), "at least one")
    unchanged(model, lambda: model.fit(X, y, sample_weight=-np.ones(60)), "`sample_weight` must be")
    model.set_params(early_stopping=True)
    unchanged(model, lambda: model.fit(X[:1], y[:1]), "`early_stopping` needs at least 2 samples, got 1")


def test_targets_whose_loss_overflows(samples):
    X, y = samples
    model = LinearRegressor().fit(X, y)
    message = "`y` must have a finite `loss='squared_error'` where all coefficients are zero, got entries up to 2e+200"
    unchanged(model, lambda: model.fit(X, y * 1e200), message)


DIVERGED = {
    "and the targets of a regressor to a size of 1, or pass a smaller `learning_rate`, got 1e+100.": ("sgd", 1e100),
    "and the targets of a regressor to a size of 1.": (None, None),
}


@pytest.mark.parametrize("message", DIVERGED)
def test_a_fit_that_diverges_says_what_can_be_changed(samples, message):
    X, y = samples
    solver, rate = DIVERGED[message]
    model = LinearRegressor(solver=solver, learning_rate=rate, random_state=0)
    unchanged(model, lambda: model.fit(X, y * 1e200), message)


HELD_OUT = {
    "`early_stopping` needs at least 2 samples of each class, got 1 of one": ([0] * 10 + [1], 0.1),
    "that is 3 of 30, got 2 to hold out; set validation_fraction=0.5": ([0, 1, 2] * 10, 0.05),
    "that is 3 of 30, got 28 to hold out; set validation_fraction=0.5": ([0, 1, 2] * 10, 0.93),
}


@pytest.mark.parametrize("message", HELD_OUT)
def test_too_few_samples_to_hold_out(samples, message):
    y, fraction = HELD_OUT[message]
    model = LinearClassifier(early_stopping=True, validation_fraction=fraction)
    unchanged(model, lambda: model.fit(samples[0][: len(y)], y), message)
    model.set_params(validation_fraction=0.5)
    if len(y) == 30:
        model.fit(samples[0][: len(y)], y)


def test_too_few_numbers_to_hold_out(samples):
    X, y = samples
    model = LinearRegressor(early_stopping=True, validation_fraction=0.999, solver="adam")
    unchanged(model, lambda: model.fit(X, y), "`validation_fraction` must leave at least one sample to fit, and one to")
    assert len(model.set_params(validation_fraction=1e-9).fit(X, y).validation_curve_) > 0


def test_columns_whose_squares_overflow(samples):
    X, y = samples
    model = LinearRegressor()
    unchanged(model, lambda: model.fit(X * 1e200, y), "`X` must have columns whose squares are in the range of float64")
    unchanged(model, lambda: model.fit(scipy.sparse.csr_array(X * 1e200), y), "scale the features with sklearn")


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_fits_that_diverge(samples, method):
    X, y = samples
    model = LinearRegressor(solver="sgd", batch_size=1, tol=None).fit(X, y)
    model.set_params(learning_rate=1e200)
    unchanged(model, lambda: getattr(model, method)(X, y), "the fit with `loss='squared_error'` diverged")
    model.set_params(learning_rate=None).partial_fit(X, y)
    assert np.isfinite(model.coef_).all()


# --- files -----------------------------------------------------------------------------------------------


def test_what_cannot_be_saved(samples):
    with pytest.raises(TypeError, match="`random_state` must be a number, a string or None to be saved"):
        fastopt.save(io.BytesIO(), LinearClassifier(random_state=np.random.RandomState(0)))
    with pytest.raises(TypeError, match="`learning_rate` must be a number"):
        fastopt.save(io.BytesIO(), LinearClassifier(learning_rate=lambda t: 0.1))
    with pytest.raises(
        TypeError, match="must be a LinearClassifier or LinearRegressor itself, got one of the class Mine"
    ):
        fastopt.save(io.BytesIO(), type("Mine", (LinearRegressor,), {})().fit(*samples))
    model = LinearClassifier().fit(*samples)
    model.classes_ = np.array([None, 1, 2], object)
    with pytest.raises(TypeError, match="`classes_` must be numbers or strings to be saved"):
        fastopt.save(io.BytesIO(), model)


def change(tree, place, value):
    for key in place[:-1]:
        tree = tree[key]
    tree[place[-1]] = value


FORGED = {
    "class": (("class",), "Pipeline"),
    "no class": (("class",), 3),
    "settings": (("params",), []),
    "setting": (("params", "colour"), "red"),
    "weights": (("class_weight",), {"pears": []}),
    "attribute": (("fitted", "predict"), 1),
    "coefficients": (("fitted", "coef_"), [1.0]),
    "shape": (("fitted", "coef_"), np.zeros((3, 5))),
    "dtype": (("fitted", "coef_"), np.zeros((3, 4), int)),
    "rows": (("fitted", "intercept_"), np.zeros(2)),
    "curve": (("fitted", "loss_curve_"), "up"),
    "names": (("fitted", "feature_names_in_"), [1]),
    "classes": (("fitted", "classes_"), [1, 2, 3]),
    "optimizers": (("fitted", "optimizers"), [{"class": "os"}]),
    "optimizer": (("fitted", "optimizers", 0, "class"), "system"),
    "averages": (("fitted", "averages"), [{"mean": 1.0}]),
    "counts": (("fitted", "averages"), [{"mean": np.zeros(3), "count": -1}]),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_files(samples, name, tmp_path):
    tree = _saving.tree_of(LinearClassifier(solver="adam").fit(*samples))
    change(tree, *FORGED[name])
    fastopt._checkpoint.write(tmp_path / "forged", "estimator", tree)
    with pytest.raises(CheckpointError, match="its contents do not fit"):
        fastopt.load(tmp_path / "forged")


def test_files_of_another_kind(tmp_path):
    fastopt.save(tmp_path / "optimizer", fastopt.Adam(np.zeros(2)))
    with pytest.raises(CheckpointError, match="it is of kind 'optimizer', expected 'estimator'"):
        fastopt.load(tmp_path / "optimizer")
