"""Estimators in checkpoint files: a tree of what they are made of, which the module that has them makes and reads."""

import importlib

from .files import contents_of, read

# Imported when a file is loaded, as it needs scikit-learn.
MODULE = "fastopt.linear_model._saving"


def is_estimator(value):
    """Whether this is an estimator, which gives its tree itself."""
    return hasattr(type(value), "_saved")


def load_estimator(path):
    """The estimator in a file."""
    tree = read(path, "estimator")
    restored = importlib.import_module(MODULE).restored
    with contents_of(path):
        return restored(tree)
