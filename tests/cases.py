"""Shared by all tests: which optimizers there are, and hyper-parameters that reach every form of a rule."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from reference import VALUE

import fastopt
from fastopt import _core
from fastopt.optimizers._hyperparameters import Flag


class MoMo(fastopt.MoMo):
    """With a value for the tests that step every optimizer and have none."""

    def step(self, grad, value=VALUE, stats=None):
        super().step(grad, value, stats)


# Muon refuses vectors, which its kernels take for matrices of one row: so do the tests that step every optimizer with
# vectors. That it refuses them is tested in test_muon.py.
fastopt.Muon._takes_vectors = True

RULES = Path(__file__).resolve().parents[1] / "csrc/rules"
OPTIMIZERS = fastopt.OPTIMIZERS | {"momo": MoMo}
DTYPES = _core.dtype_names()
ISAS = [name for name in _core.isa_names() if _core.isa_supported(name)]


def settings(cls):
    """What can be set apart from the rest: the keywords of each value, the fullest form or the default first."""
    options = {*_core.rule_options(cls.rule)}
    flags = {name for name, each in cls._declared.items() if isinstance(each, Flag) and not each.keyword_only}
    momentum = [{"momentum": 0.9}, {"momentum": 0.0}] if "momentum" in cls._declared else []
    if "nesterov" in flags:
        momentum = [{"momentum": 0.9, "nesterov": True}, *(each | {"nesterov": False} for each in momentum)]
    for name in sorted(flags - {"nesterov"}):
        first = name in options or cls._declared[name].default
        yield [{name: first}, {name: not first}]
    if momentum:
        yield momentum


def forms(cls):
    """Keyword arguments that reach every form of the kernels, and every other setting once."""
    options = {*_core.rule_options(cls.rule)}
    apart = [*settings(cls)]
    first = {name: value for setting in apart for name, value in setting[0].items()}
    choosing = [setting for setting in apart if options & {*setting[0]}]
    for chosen in itertools.product(*choosing):
        yield first | {name: value for part in chosen for name, value in part.items()}
    for setting in apart:
        if setting not in choosing:
            yield from (first | other for other in setting[1:])


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


def is_refused(cls, keywords):
    """Whether the class refuses this combination of hyper-parameters: tests/optimizers/test_validation.py."""
    try:
        cls._validated((), keywords)
    except ValueError:
        return True
    return False


def another(declared):
    """A valid number that is not the default, nor zero, of which nobody would notice that it is used."""
    if isinstance(declared.default, int):
        return declared.default - 1
    if declared.default in (None, 0.0):
        return 0.5 if declared.name in ("clip_value", "weight_decay") else 1e-3
    return declared.default * 0.9


def own_numbers(cls, keywords):
    """Another value for every number that an array can have for itself, beside these hyper-parameters of the class."""
    momentum = keywords.get("momentum", cls._declared["momentum"].default if "momentum" in cls._declared else 0.0)
    left_out = ({"momentum"} if momentum == 0 else set()) | ({"dampening"} if keywords.get("nesterov") else set())
    numbers = {
        name: another(each)
        for name, each in cls._declared.items()
        if each.is_number and not each.joint and name not in left_out
    }
    if keywords.get("momentum"):
        numbers["momentum"] = 0.7
    return numbers


#: What sparse gradients mean for entries that they do not touch.
MODES = ["lazy", "exact", "deferred"]


def skip_if_refused(cls, keywords):
    """Skip a test of hyper-parameters that the class cannot combine."""
    if is_refused(cls, keywords):
        pytest.skip("refused: test_validation.py, test_deferred.py")


def couples_entries(cls):
    """Whether the step of each entry depends on all others of its array: a sparse gradient is one among zeros then."""
    return _core.couples_entries(cls.rule)


def couples_arrays(cls):
    """Whether it depends on those of the other arrays, too."""
    return "step->sum" in (RULES / f"{cls.rule}.c").read_text()


def takes_rows(cls):
    """Whether the step of each entry depends on the others of its row."""
    return _core.takes_rows(cls.rule)


def sees_shape(cls):
    """Whether the step of a matrix is another than that of its entries in a vector."""
    per = _core.slot_shapes(cls.rule, {name: each.default for name, each in cls._declared.items()})
    return takes_rows(cls) or _core.takes_matrices(cls.rule) or "matrix row" in per.values()


def workspace(cls, param):
    """The bytes that an optimizer of this parameter has beside its state, if they grow with it."""
    if not _core.takes_matrices(cls.rule):
        return 0
    rows, columns = (1, param.size) if param.ndim < 2 else param.shape[-2:]
    return 2 * (rows * columns + min(rows, columns) ** 2) * param.itemsize


def reached(cls, mask):
    """The entries of an array whose steps depend on its entries at `mask`: these alone, their rows, or all."""
    if couples_entries(cls):
        return np.full(mask.shape, mask.any())
    if takes_rows(cls) and mask.ndim > 1:
        return np.repeat(mask.reshape(len(mask), -1).any(axis=1), mask[0].size).reshape(mask.shape)
    return mask


def slot_layout(param, per):
    """Shape and dtype of a slot, by what `_core.slot_shapes` says it has numbers for."""
    shape = param.shape
    lines = {"row": shape[:1], "matrix row": shape[:-1], "matrix column": shape[:-2] + shape[-1:]}
    if per == "entry":
        return shape, param.dtype
    if per in lines:
        return lines[per] if param.size else (0,), param.dtype
    return (3,) if per == "sum" else (), np.dtype(np.float64)


ELEMENTWISE = [case for case in CASES if not couples_entries(case[0]) and not takes_rows(case[0])]
COUPLED = [case for case in CASES if couples_entries(case[0])]
BY_ROWS = [case for case in CASES if takes_rows(case[0])]
