"""Intermediate results, whose entries are computed when they are read: like an OptimizeResult in all else."""

import copy
import pickle

import numpy as np
import pytest
from objectives import bowl
from scipy.optimize import OptimizeResult

from fastopt import minimize
from fastopt._minimize.intermediate_result import IntermediateResult, Later, settled

X = np.arange(3.0)


class Counting:
    """An entry that is computed, and how often."""

    def __init__(self, value):
        self.value, self.calls = value, 0

    def __call__(self):
        self.calls += 1
        return self.value


def make():
    """A result, what is computed in it, and a plain one with the same entries."""
    x, fun = Counting(X), Counting(7.0)
    return IntermediateResult(x=Later(x), fun=Later(fun), nit=2), (x, fun), OptimizeResult(x=X, fun=7.0, nit=2)


READ_NOTHING = {
    "known": lambda r: (r.nit, r["nit"], r.get("nit"), r.get("no", 4)),
    "keys": lambda r: [*r.keys()],
    "length": len,
    "in": lambda r: ("x" in r, "no" in r),
    "directory": dir,
    "truth": bool,
}
READ_X = {"attribute": lambda r: r.x, "item": lambda r: r["x"], "get": lambda r: r.get("x")}
READ_ALL = {
    "repr": repr,
    "str": str,
    "iteration": lambda r: [*r],
    "items": lambda r: [*r.items()],
    "values": lambda r: [*r.values()],
    "dict": dict,
    "arguments": lambda r: (lambda **entries: entries)(**r),
    "copy": lambda r: r.copy(),
    "module copy": copy.copy,
    "deep copy": copy.deepcopy,
    "pickle": lambda r: pickle.loads(pickle.dumps(r)),
    "union": lambda r: r | {"more": 1},
    "union of a dict": lambda r: {"more": 1} | r,
    "update of a dict": lambda r: {**r},
    "result of it": lambda r: OptimizeResult(r),
    "reversed": lambda r: [*reversed(r)],
}


def same(one, other):
    """Whether two answers are equal, in type, too; arrays are compared by their bytes."""
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.tobytes() == other.tobytes()
    if isinstance(one, dict):
        return type(one) is type(other) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize("reader", READ_NOTHING)
def test_nothing_is_computed_that_is_not_read(reader):
    result, computed, plain = make()
    assert same(READ_NOTHING[reader](result), READ_NOTHING[reader](plain))
    assert [each.calls for each in computed] == [0, 0]


@pytest.mark.parametrize("reader", READ_X)
def test_entry_is_computed_once_when_it_is_read(reader):
    result, computed, _ = make()
    for _ in range(2):
        assert READ_X[reader](result) is X
    assert [each.calls for each in computed] == [1, 0]


@pytest.mark.parametrize("reader", READ_ALL)
def test_what_reads_all_entries_gets_their_values(reader):
    result, computed, plain = make()
    read = READ_ALL[reader](result)
    assert same(read, READ_ALL[reader](plain))
    assert not any(isinstance(each, Later) for each in (read.values() if isinstance(read, dict) else ()))
    assert all(each.calls <= 1 for each in computed)


def test_entries_can_be_taken_and_replaced():
    for take in (lambda r: r.pop("x"), lambda r: r.setdefault("x", 0)):
        assert take(make()[0]) is X
    result = make()[0]
    assert {result.popitem()[0] for _ in range(3)} == {"x", "fun", "nit"}
    result, computed, _ = make()
    result.x = 1
    result["fun"] = 2
    del result.nit
    assert (result.x, result.fun, len(result)) == (1, 2, 2)
    assert [each.calls for each in computed] == [0, 0]


def test_equality():
    result = IntermediateResult(fun=Later(lambda: 7.0), nit=2)
    assert result == {"fun": 7.0, "nit": 2}
    assert IntermediateResult(fun=Later(lambda: 7.0)) != {"fun": 8.0}


def test_names_that_are_not_there():
    with pytest.raises(AttributeError, match="no"):
        getattr(make()[0], "no")  # noqa: B009
    with pytest.raises(KeyError, match="no"):
        make()[0]["no"]


def test_settled_result_is_a_plain_one():
    result, _, plain = make()
    assert settled(result) is result
    assert type(result) is OptimizeResult and same(result, plain)


def test_callback_that_reads_nothing_costs_no_copy(monkeypatch):
    from fastopt._minimize.run import Run

    read = []
    monkeypatch.setattr(Run, "shown_x", lambda self: read.append(self.nit) or self.x.copy())

    def third(intermediate_result):
        if intermediate_result.nit == 3:
            assert intermediate_result.x.size == 3

    minimize(bowl, np.zeros(3), jac=True, callback=third, options={"maxiter": 5})
    assert read == [3]


def test_results_that_are_kept_have_the_x_of_their_iteration():
    """As if all had been computed at once, whether they were read in the call or not."""
    kept, points = [], []

    def keep(intermediate_result):
        kept.append(intermediate_result)
        if intermediate_result.nit % 2:
            points.append(intermediate_result.x.copy())

    minimize(bowl, np.zeros(3), jac=True, callback=keep, options={"maxiter": 6})
    assert [type(each) for each in kept] == [OptimizeResult] * 6
    assert [each.x.tolist() for each in kept[::2]] == [x.tolist() for x in points]
    assert len({each.x.tobytes() for each in kept}) == len({each.fun for each in kept}) == 6


def test_result_that_is_kept_when_the_callback_ends_the_run():
    kept = []

    def stop(intermediate_result):
        kept.append(intermediate_result)
        raise StopIteration

    res = minimize(bowl, np.zeros(3), jac=True, callback=stop, options={"maxiter": 6})
    assert res.status == 99 and kept[0].x.tobytes() == res.x.tobytes()
