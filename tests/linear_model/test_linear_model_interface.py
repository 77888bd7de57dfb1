"""What scikit-learn's users do with an estimator beside fitting it."""

import copy
import io
import pickle

import joblib
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import sklearn
from helpers import run_python
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.feature_extraction import FeatureHasher
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastopt
from fastopt.linear_model import LinearClassifier, LinearRegressor
from fastopt.schedules import exponential_decay


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


def test_pipelines_and_searches(iris):
    pipeline = make_pipeline(StandardScaler(), LinearClassifier())
    assert cross_val_score(pipeline, *iris).mean() > 0.9
    search = GridSearchCV(pipeline, {"linearclassifier__alpha": [1e-4, 1e-1]}, cv=3).fit(*iris)
    assert search.best_params_ == {"linearclassifier__alpha": 1e-4}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_hashed_words():
    words = [["a", "b"], ["b", "c"], ["d"], ["d", "a"]] * 10
    model = make_pipeline(FeatureHasher(input_type="string"), LinearClassifier(solver="adagrad"))
    assert model.fit(words, [0, 0, 1, 1] * 10).score(words, [0, 0, 1, 1] * 10) == 1.0


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_clones_copies_and_pickles(iris):
    model = LinearClassifier(solver="adam", alpha=0.1, random_state=0).fit(*iris)
    assert clone(model).get_params() == model.get_params() and not hasattr(clone(model), "coef_")
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), joblib.load(file)):
        np.testing.assert_array_equal(other.predict_proba(iris[0]), model.predict_proba(iris[0]))
        again = copy.deepcopy(model).partial_fit(*iris)
        np.testing.assert_array_equal(other.partial_fit(*iris).coef_, again.coef_)


def test_feature_names(iris):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(iris[0], columns=["a", "b", "c", "d"])
    model = LinearClassifier().fit(frame, iris[1])
    assert model.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["b", "a", "c", "d"]])


def test_set_output_of_a_pipeline(iris):
    pytest.importorskip("pandas")
    pipeline = make_pipeline(StandardScaler(), LinearClassifier()).set_output(transform="pandas")
    assert pipeline.fit(*iris)[-1].feature_names_in_.tolist() == ["x0", "x1", "x2", "x3"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_routing_of_weights(iris):
    X, y = iris
    weights = np.where(y == 1, 5.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        model = LinearClassifier().set_fit_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model).fit(
            X, y, sample_weight=weights
        )
    expected = LinearClassifier().fit(StandardScaler().fit_transform(X), y, sample_weight=weights)
    np.testing.assert_array_equal(pipeline[-1].coef_, expected.coef_)


def test_nothing_of_scikit_learn_is_imported_before():
    code = "import sys, fastopt; print([name for name in sys.modules if name.split('.')[0] in ('sklearn', 'joblib')])"
    assert run_python(code) == "[]"


@pytest.mark.parametrize("found", ["None", "types.ModuleType('sklearn')"], ids=["none", "too old"])
def test_without_scikit_learn(found):
    code = """
        import sys, types
        sys.modules["sklearn"] = {}
        try:
            import fastopt.linear_model
        except ImportError as error:
            print(error)
    """
    assert 'scikit-learn 1.6 or later; install it with `pip install "fastopt[sklearn]"`' in run_python(
        code.format(found)
    )


# --- files -----------------------------------------------------------------------------------------------


def saved_and_loaded(estimator):
    file = io.BytesIO()
    fastopt.save(file, estimator)
    return fastopt.load(io.BytesIO(file.getvalue()))


ESTIMATORS = {
    "not fitted": lambda X, y: LinearClassifier(alpha=0.5, class_weight={"a": 2, 1: 3.0}),
    "auto": lambda X, y: LinearClassifier(class_weight="balanced").fit(X, y),
    "words": lambda X, y: LinearClassifier("hinge", solver="adam").fit(X, np.array(["a", "b", "cc"])[y]),
    "objects": lambda X, y: LinearClassifier(solver="sgd").fit(X, np.array(["a", "b", "cc"], object)[y]),
    "schedule": lambda X, y: LinearClassifier(solver="adam", learning_rate=exponential_decay(0.1, 10, 0.5)).fit(X, y),
    "huber": lambda X, y: LinearRegressor("huber", solver="sgd", learning_rate=1e-3).partial_fit(X, y),
    "average": lambda X, y: LinearRegressor(solver="adagrad", average=True).partial_fit(X, y),
    "targets": lambda X, y: LinearRegressor(solver="prodigy", early_stopping=True, random_state=0).fit(X, X[:, :2]),
}


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_estimators_are_saved_and_loaded(iris, name):
    model = ESTIMATORS[name](*iris)
    other = saved_and_loaded(model)
    assert type(other) is type(model) and repr(other) == repr(model)
    assert vars(other).keys() == vars(model).keys()
    for attribute, value in vars(model).items():
        if isinstance(value, np.ndarray | np.generic):
            found = getattr(other, attribute)
            assert found.dtype == value.dtype and np.array_equal(found, value)
    if not hasattr(model, "coef_"):
        return
    np.testing.assert_array_equal(other.predict(iris[0]), model.predict(iris[0]))
    if model.class_weight is None if hasattr(model, "class_weight") else True:
        y = model.predict(iris[0])
        np.testing.assert_array_equal(other.partial_fit(iris[0], y).coef_, model.partial_fit(iris[0], y).coef_)


def test_estimators_are_loaded_in_another_process(iris, tmp_path):
    model, path = LinearClassifier("modified_huber").fit(*iris), tmp_path / "model.npz"
    fastopt.save(path, model)
    code = """
        import sys, fastopt
        from sklearn.datasets import load_iris
        print(fastopt.load(sys.argv[1]).predict_proba(load_iris().data)[:50].tobytes().hex())
    """
    assert run_python(code, str(path)) == model.predict_proba(iris[0])[:50].tobytes().hex()


def test_feature_names_are_saved(iris):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(iris[0], columns=["a", "b", "c", "d"])
    other = saved_and_loaded(LinearClassifier().fit(frame, iris[1]))
    assert other.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    other.predict(frame)
