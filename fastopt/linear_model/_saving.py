"""Estimators as trees of plain values and arrays, for `fastopt.save`, and back."""

import numpy as np
from sklearn.base import is_classifier

from .._checkpoint import schedules
from .._checkpoint.results import made_again
from .._memory import base_view
from .._minimize.averages import Polyak
from .._validation import saved_estimators as validation
from .._validation import saved_runs
from .._validation.scalars import flag, integer
from ..optimizers import OPTIMIZERS

# Attributes of a fitted estimator -> their check. Those of `OPTIONAL` not every one has.
NEEDED = {
    "coef_": validation.saved_array,
    "intercept_": validation.saved_array,
    "n_iter_": saved_runs.count(),
    "n_features_in_": saved_runs.count(),
    "loss_curve_": validation.saved_numbers,
}
OPTIONAL = {
    "validation_curve_": validation.saved_numbers,
    "feature_names_in_": validation.saved_strings,
    "epsilon_": validation.saved_numbers_of_targets,
    "_single": flag,
}


def tree_of(estimator):
    """What `restored` makes an equal estimator of."""
    validation.own_class(type(estimator), _classes())
    params = estimator.get_params(deep=False)
    rate = schedules.tree_of(estimator.learning_rate) or estimator.learning_rate
    weights = params.pop("class_weight", None)
    if isinstance(weights, dict):
        pairs = [[_plain("class_weight", key), _plain("class_weight", each)] for key, each in weights.items()]
        weights = {"pairs": pairs}
    tree = {
        "class": type(estimator).__name__,
        "params": {name: _plain(name, value) for name, value in params.items() if name != "learning_rate"},
        "learning_rate": rate if isinstance(rate, dict) else _plain("learning_rate", rate),
        "class_weight": weights,
        "fitted": None,
    }
    if hasattr(estimator, "coef_"):
        tree["fitted"] = _fitted(estimator)
    return tree


def _plain(name, value):
    validation.plain_parameter(name, value)
    return value


def _fitted(estimator):
    there = vars(estimator)
    tree = {name: there[name] for name in (*NEEDED, *OPTIONAL) if name in there}
    if "feature_names_in_" in tree:
        tree["feature_names_in_"] = tree["feature_names_in_"].tolist()
    if "classes_" in there:
        validation.plain_classes(there["classes_"])
        numbers = there["classes_"].dtype.kind in "biuf"
        tree["classes_"] = there["classes_"] if numbers else there["classes_"].tolist()
        tree["classes_of_objects"] = there["classes_"].dtype == object
    tree["optimizers"] = [None if each is None else _optimizer(each) for each in there["_optimizers"]]
    tree["averages"] = [None if each is None else each.snapshot() for each in there["_averages"]]
    return tree


def _optimizer(optimizer):
    return {"class": type(optimizer).__name__, "params": base_view(optimizer.params), "state": optimizer._snapshot()}


def _classes():
    from . import LinearClassifier, LinearRegressor

    return LinearClassifier, LinearRegressor


def restored(tree):
    """The estimator of a tree."""
    saved_runs.entries("estimator", tree, ("class", "params", "learning_rate", "class_weight", "fitted"))
    cls = validation.saved_class("class", tree["class"], {each.__name__: each for each in _classes()})
    rate = tree["learning_rate"]
    if isinstance(rate, dict):
        rate = schedules.check("learning_rate", rate)
    estimator = cls(**saved_runs.entries("params", tree["params"], ()), learning_rate=rate)
    if tree["class_weight"] is not None:
        weights = tree["class_weight"]
        if isinstance(weights, dict):
            weights = dict(map(tuple, saved_runs.entries("class_weight", weights, ("pairs",))["pairs"]))
        estimator.set_params(class_weight=weights)
    if tree["fitted"] is not None:
        fitted = _attributes(tree["fitted"], rate)
        validation.saved_classes("classes_" in fitted, is_classifier(estimator))
        vars(estimator).update(fitted)
    return estimator


def _attributes(saved, rate):
    """The attributes of a fitted estimator, checked."""
    saved = dict(saved_runs.entries("fitted", saved, (*NEEDED, "optimizers", "averages")))
    optimizers, averages = saved.pop("optimizers"), saved.pop("averages")
    classes, of_objects = saved.pop("classes_", None), saved.pop("classes_of_objects", False)
    found = saved_runs.record(NEEDED, optional=OPTIONAL)("fitted", saved)
    if "feature_names_in_" in found:
        found["feature_names_in_"] = np.array(found["feature_names_in_"], object)
    n_rows = None
    if classes is not None:
        if isinstance(classes, list):
            classes = np.array(validation.saved_strings("classes_", classes), object if of_objects else str)
        found["classes_"] = validation.saved_array("classes_", classes)
        n_rows = 1 if len(classes) == 2 else len(classes)
    validation.fitting_shapes(found["coef_"], found["intercept_"], found["n_features_in_"], n_rows)
    found["_optimizers"] = [None if each is None else _made_again(each, rate) for each in optimizers]
    found["_averages"] = [None if each is None else _average(each) for each in averages]
    validation.saved_averages(found["_optimizers"], found["_averages"])
    return found


def _made_again(saved, rate):
    saved_runs.entries("optimizer", saved, ("class", "params", "state"))
    classes = {each.__name__: each for each in OPTIMIZERS.values()}
    cls = validation.saved_class("class", saved["class"], classes)
    return made_again(cls, (rate, ()), saved["state"], saved["params"])


def _average(saved):
    saved_runs.entries("average", saved, ("mean", "count"))
    average = Polyak(validation.saved_array("mean", saved["mean"]))
    average.restore({"mean": saved["mean"], "count": integer("count", saved["count"], 0)})
    return average
