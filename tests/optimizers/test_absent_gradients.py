"""Parameters whose gradient is None, or missing in a dict: a step leaves them and their state alone."""

import numpy as np
import pytest
from cases import CASES, MODES, couples_arrays, form_id, skip_if_refused
from helpers import bits, refused

import fastopt
from fastopt import RowSparse

SHAPES = {"w": (4, 3), "b": (7,), "c": (5,)}


def start(rng):
    return {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}


def copied(params):
    return {name: array.copy() for name, array in params.items()}


def parts(opt, name):
    """The bits of one parameter and its state, but for sums of the last gradient."""
    slots = [slot[name] for slot_name, slot in opt.state.items() if slot_name != "progress"]
    return [each.tobytes() for each in (opt.params[name], *slots)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_parameters_without_a_gradient_stay(case, mode, rng):
    cls, keywords = case
    keywords = {"sparse": mode, "clip_norm": 1.0, "weight_decay": 0.1} | keywords
    skip_if_refused(cls, keywords)
    opt = cls(start(rng), **keywords)
    for step in range(6):
        grads = {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}
        if step == 3:
            grads["w"] = RowSparse(np.array([1, 3]), rng.standard_normal((2, 3)))
        left_out = (None, "b", "w", None, "c", "w")[step]
        before = parts(opt, left_out) if left_out else None
        if left_out == "b":
            del grads["b"]
        elif left_out:
            grads[left_out] = None
        opt.step(grads)
        if left_out:
            assert parts(opt, left_out) == before
        assert opt.step_count == step + 1 and all(np.isfinite(each).all() for each in opt.params.values())


@pytest.mark.parametrize("case", [case for case in CASES if not couples_arrays(case[0])], ids=form_id)
def test_the_others_move_as_if_they_were_alone(case, rng):
    cls, keywords = case
    params = start(rng)
    opt = cls(copied(params), clip_norm=1.0, **keywords)
    twin = cls({name: params[name].copy() for name in ("w", "c")}, clip_norm=1.0, **keywords)
    for _ in range(3):
        grads = {name: rng.standard_normal(SHAPES[name]) for name in ("w", "c")}
        opt.step(grads if _ else grads | {"b": None})
        twin.step(grads)
    assert opt.last_grad_norm == twin.last_grad_norm
    assert [parts(opt, name) for name in ("w", "c")] == [parts(twin, name) for name in ("w", "c")]


@pytest.mark.parametrize("cls", [fastopt.RMSprop, fastopt.Adadelta])
def test_rows_do_not_decay_in_a_step_without_their_gradient(cls, rng):
    """Rows that sparse gradients have left behind are as far behind after such a step as before it."""
    opt, twin = (cls([np.ones((6, 2)), np.ones(3)], sparse="exact") for _ in range(2))
    rows = [RowSparse(np.array([k]), np.ones((1, 2))) for k in (1, 4, 2)]
    for k, grad in enumerate(rows):
        opt.step([grad, np.ones(3)])
        if k == 1:
            opt.step([None, np.ones(3)])
        twin.step([grad, np.ones(3)])
    opt.step([None, None])
    for name, slot in opt.state.items():
        np.testing.assert_allclose(slot[0], twin.state[name][0], rtol=1e-14)
    np.testing.assert_array_equal(opt.params[0], twin.params[0])


@pytest.mark.parametrize("layerwise", [False, True])
def test_dog_starts_an_array_when_its_first_gradient_comes(layerwise):
    opt = fastopt.DoG({"w": np.ones(3), "b": np.ones(2)}, layerwise=layerwise)
    for step in range(4):
        opt.step({"w": np.ones(3)} | ({"b": np.ones(2)} if step > 1 else {}))
        assert (opt.params["b"] != 1.0).all() == (step > 1)
    assert opt.state["distance"]["b"] > 0


def test_prodigy_counts_no_progress_twice(rng):
    """A parameter without a gradient adds its weight to the estimate as before, and no progress."""
    params = start(rng)
    opt = fastopt.Prodigy(params)
    for _ in range(4):
        opt.step({name: rng.standard_normal(shape) for name, shape in SHAPES.items()})
    norm = opt.state["s_norm"]["w"].copy()
    opt.step({"b": np.ones(7), "c": np.ones(5)})
    assert np.array_equal(opt.state["s_norm"]["w"], norm) and not opt.state["progress"]["w"].any()
    assert opt.state["progress"]["b"].any()


def test_a_step_without_any_gradient_counts():
    """The counter is the optimizer's: a schedule goes on, and nothing moves."""
    asked = []
    opt = fastopt.Adam([np.ones(3), np.ones(2)], lambda t: asked.append(t) or 0.1, clip_norm=1.0, nonfinite="raise")
    before = bits(opt)[2]
    opt.step([None, None])
    assert bits(opt) == (1, 0, before) and asked == [0] and opt.last_grad_norm == 0.0


def test_the_counter_is_that_of_the_optimizer():
    """Bias corrections are those of the step, also for a parameter whose first gradient it is."""
    opt, twin = fastopt.Adam([np.zeros(1), np.zeros(1)]), fastopt.Adam([np.zeros(1)])
    opt.step([np.ones(1), None])
    opt.step([None, np.ones(1)])
    twin.step([np.zeros(1)])
    twin.step([np.ones(1)])
    np.testing.assert_allclose(opt.params[1], twin.params[0], rtol=1e-14)


def test_gradients_of_unknown_keys_are_refused():
    opt = fastopt.Adam({"w": np.ones(3), "b": np.ones(2)})
    with refused(
        opt, ValueError, r"^`grad` must have the keys of the parameters, got missing \['b'\] and unknown \['c'\]"
    ):
        opt.step({"w": np.ones(3), "c": np.ones(2)})
    with refused(opt, TypeError, "^`grad` must be a dict like the parameters, got NoneType"):
        opt.step(None)


def test_one_array_needs_its_gradient():
    opt = fastopt.Adam(np.ones(3))
    with refused(opt, TypeError, "^`grad` must be a NumPy array, got NoneType"):
        opt.step(None)
