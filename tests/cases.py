"""Shared by all tests: which optimizers there are, and hyper-parameters that reach every form of a rule."""

import itertools

import numpy as np

import fastopt
from fastopt import _core
from fastopt.optimizers._hyperparameters import Flag

OPTIMIZERS = fastopt.OPTIMIZERS
DTYPES = _core.dtype_names()
ISAS = [name for name in _core.isa_names() if _core.isa_supported(name)]


def forms(cls):
    """Every setting of the flags and of momentum that the class takes, as keyword arguments."""
    settings = [
        [(name, value) for value in (False, True)]
        for name, each in cls._declared.items()
        if isinstance(each, Flag) and not each.keyword_only
    ]
    if "momentum" in cls._declared:
        settings.append([("momentum", 0.0), ("momentum", 0.9)])
    for setting in itertools.product(*settings):
        keywords = dict(setting)
        if keywords.get("nesterov") and not keywords["momentum"]:
            continue
        yield keywords


def takes_decoupled_decay(cls):
    """Whether the class knows another kind of weight decay than l2; where it does not, it refuses it in words."""
    try:
        cls._validated((), {"decoupled_weight_decay": True})
    except ValueError:
        return False
    return True


#: Names of those whose solution is an average that they keep, not their parameters.
AVERAGING = [name for name, cls in OPTIMIZERS.items() if cls(np.ones(1))._reads_off]


def form_id(value):
    """A readable test id for an (optimizer, keywords) case."""
    if not isinstance(value, tuple):
        return None
    cls, keywords = value
    on = [name for name, each in keywords.items() if each]
    return "-".join([cls.__name__, *on])


CASES = [(cls, keywords) for cls in OPTIMIZERS.values() for keywords in forms(cls)]
