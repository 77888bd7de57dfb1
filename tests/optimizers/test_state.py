"""State views, repr and memory."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from cases import CASES, DTYPES, OPTIMIZERS, form_id, slot_layout, workspace
from helpers import flat, spread

import fastopt
from fastopt import _core, schedules


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_state_mirrors_the_parameters(case, dtype):
    cls, keywords = case
    arrays = [np.ones((2, 3), dtype), np.ones((), dtype), np.ones((0, 4), dtype)]
    slots = _core.slot_shapes(cls.rule, cls(arrays, **keywords)._values)
    structures = {
        "array": (arrays[0], lambda state: [state]),
        "list": (arrays, list),
        "dict": (dict(zip("abc", arrays, strict=True)), lambda state: [state[key] for key in "abc"]),
    }
    for params, in_order in structures.values():
        opt = cls(params, **keywords)
        assert list(opt.state) == list(slots)
        for slot, state in opt.state.items():
            assert type(state) is (list if params is arrays else type(params))
            for array, param in zip(in_order(state), flat(params), strict=True):
                assert (array.shape, array.dtype) == slot_layout(param, slots[slot])
                assert array.flags.writeable and array.flags.c_contiguous
                assert array.size == 0 or array.ctypes.data % 64 == 0


@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_state_is_written_through_its_views(case, rng):
    """A view taken early shows later steps, and what is written into it is what the next step reads."""
    cls, keywords = case
    start, grads = rng.standard_normal(50), rng.standard_normal((3, 50))
    opt, twin = cls(start.copy(), **keywords), cls(start.copy(), **keywords)
    views = opt.state
    for grad in grads[:2]:
        opt.step(grad)
        twin.step(grad)
    for slot, view in views.items():
        assert np.array_equal(view, twin.state[slot])
        assert np.shares_memory(view, opt.state[slot])
    fresh = cls(twin.params.copy(), **keywords)
    fresh.load_state_dict(twin.state_dict())
    for view in views.values():
        view[...] = 0.5
    for array in fresh.state.values():
        array[...] = 0.5
    opt.step(grads[2])
    fresh.step(grads[2])
    assert opt.params.tobytes() == fresh.params.tobytes()


@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_state_slots_share_no_memory(case):
    cls, keywords = case
    params = [np.ones(n, dtype) for n in (1, 3, 17, 20_000) for dtype in DTYPES]
    opt = cls(params, **keywords)
    arrays = params + [array for state in opt.state.values() for array in state]
    spans = sorted((array.ctypes.data, array.ctypes.data + array.nbytes) for array in arrays)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))


@pytest.mark.parametrize("name", ["params", "state", "step_count", "skipped_steps", "last_grad_norm"])
def test_attributes_that_cannot_be_set(name):
    with pytest.raises(AttributeError):
        setattr(fastopt.Adam(np.ones(3)), name, 0)


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_repr(cls):
    opt = cls(np.ones((200, 10)))
    opt.step(np.ones((200, 10)))
    default = cls._declared["learning_rate"].default
    assert repr(opt) == f"<{cls.__name__}(learning_rate={default!r}): 2,000 float64 parameters in 1 array, step 1>"


def test_repr_shows_what_differs_from_the_defaults():
    params = {"w": np.ones((5, 2), np.float32), "b": np.ones(2)}
    opt = fastopt.Adam(params, schedules.constant(0.5), 0.8, clip_norm=1, amsgrad=True, num_threads=2)
    assert repr(opt) == (
        "<Adam(learning_rate=constant(lr=0.5), beta_1=0.8, amsgrad=True, clip_norm=1.0, num_threads=2): "
        "12 float32 and float64 parameters in 2 arrays, step 0>"
    )


def peak_of(run):
    """Most bytes that Python and NumPy held at once during a call, beyond those from before."""
    tracemalloc.start()
    try:
        held = run()
        return tracemalloc.get_traced_memory()[1], held
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_memory_is_the_state_and_no_more(cls):
    """Not with strided gradients either, nor with norms and checks: nothing else grows with the parameters."""
    param = np.ones(4_000_000, np.float32)
    grad = spread(param)

    def run():
        opt = cls(param, clip_norm=1.0, clip_value=2.0, nonfinite="raise", weight_decay=0.01)
        opt.step(grad)
        opt.step(grad[::-1])
        return opt

    peak, opt = peak_of(run)
    state = sum(array.nbytes for array in opt.state.values())
    layouts = [slot_layout(param, per) for per in _core.slot_shapes(cls.rule, opt._values).values()]
    assert state == sum(math.prod(shape) * dtype.itemsize for shape, dtype in layouts)
    assert state <= peak <= state + workspace(cls, param) + 120_000  # sums of at most 1024 chunks


def test_memory_of_many_arrays():
    """The layout of the state costs less than a page per array and slot."""
    params = [np.ones(10) for _ in range(500)]
    peak, opt = peak_of(lambda: fastopt.Adam(params))
    assert len(opt.state["m"]) == 500
    assert peak < 500 * 2 * (80 + 4096)


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_steps_leave_nothing_behind(cls):
    """Neither references nor memory: many steps, good and refused ones."""
    param, grad = np.ones(20), np.ones(20)
    opt = cls(param, clip_norm=1.0)

    def run(steps):
        for _ in range(steps):
            opt.step(grad)
            try:
                opt.step(None)
            except TypeError:
                pass

    run(10)
    tracemalloc.start()
    try:
        run(10)
        before = tracemalloc.get_traced_memory()[0]
        run(500)
        assert tracemalloc.get_traced_memory()[0] - before < 2_000
    finally:
        tracemalloc.stop()
    assert opt.step_count == 520
