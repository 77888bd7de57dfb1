"""Parameters that cannot be bound, and what is done to bound ones later: clear messages, nothing changed."""

import numpy as np
import pytest
from cases import CASES, DTYPES, OPTIMIZERS, form_id, slot_layout
from helpers import beginning, bits, exactly, misaligned, read_only, refused

import fastopt
from fastopt import _core

SWAPPED = np.dtype(np.float64).newbyteorder("S")
WHY_CONTIGUOUS = "must be C-contiguous, as it is updated in place, got shape"


def no_float(dtype):
    return TypeError, f"must be float32 or float64, got {dtype}."


def no_array(name):
    return TypeError, f"must be a NumPy array, got {name}."


# What is wrong -> the array, the exception and its message after the name of the argument.
BAD_ARRAYS = {
    "read-only": (
        read_only(np.ones(3)),
        ValueError,
        "must be writable, as it is updated in place, got a read-only array.",
    ),
    "strided": (
        np.ones((4, 6))[:, ::2],
        ValueError,
        f"{WHY_CONTIGUOUS} (4, 3) with strides (48, 16).",
    ),
    "reversed": (np.ones(3)[::-1], ValueError, f"{WHY_CONTIGUOUS} (3,) with strides (-8,)."),
    "fortran": (
        np.ones((2, 3), order="F"),
        ValueError,
        f"{WHY_CONTIGUOUS} (2, 3) with strides (8, 16).",
    ),
    "int32": (np.ones(3, np.int32), *no_float("int32")),
    "bool": (np.ones(3, bool), *no_float("bool")),
    "float16": (np.ones(3, np.float16), *no_float("float16")),
    "complex128": (np.ones(3, complex), *no_float("complex128")),
    "object": (np.ones(3, object), *no_float("object")),
    "byte-swapped": (
        np.ones(3, SWAPPED),
        TypeError,
        f"must be of native byte order, got dtype {SWAPPED.str!r}.",
    ),
    "misaligned": (
        misaligned(np.ones(3)),
        ValueError,
        "must be aligned to its dtype, got a misaligned array.",
    ),
    "masked": (np.ma.ones(3), *no_array("MaskedArray")),
}
NO_ARRAYS = {
    "list": ([1.0, 2.0], *no_array("list")),
    "scalar": (1.0, *no_array("float")),
    "numpy scalar": (np.float64(1.0), *no_array("float64")),
    "None": (None, *no_array("NoneType")),
}
BINDINGS = {
    "alone": (lambda good, bad: bad, "`params`"),
    "in a list": (lambda good, bad: [good, bad], "`params[1]`"),
    "in a tuple": (lambda good, bad: (good, bad), "`params[1]`"),
    "in a dict": (lambda good, bad: {"w": good, "b": bad}, "`params['b']`"),
}


FAULTS = [(fault, binding) for fault in BAD_ARRAYS for binding in BINDINGS]
FAULTS += [(fault, binding) for fault in NO_ARRAYS for binding in BINDINGS if binding != "alone"]


# The constructor of the base class decides, before anything that is a class's own.
@pytest.mark.parametrize(
    "cls, fault, binding",
    [
        *((fastopt.Adam, fault, binding) for fault, binding in FAULTS),
        *((cls, "read-only", "in a dict") for cls in OPTIMIZERS.values() if cls is not fastopt.Adam),
    ],
)
def test_parameter_that_cannot_be_bound(cls, fault, binding):
    bad, exception, message = (BAD_ARRAYS | NO_ARRAYS)[fault]
    wrap, name = BINDINGS[binding]
    good = np.arange(4.0)
    before = good.tobytes(), np.asarray(bad).tobytes()
    with pytest.raises(exception, match=beginning(f"{name} {message}")):
        cls(wrap(good, bad))
    assert (good.tobytes(), np.asarray(bad).tobytes()) == before


@pytest.mark.parametrize("params", [1.0, None, "weights", {1.0}, (each for each in [np.ones(2)])], ids=repr)
def test_parameters_in_no_structure(params):
    message = f"`params` must be a NumPy array, or a list or dict of them, got {type(params).__name__}."
    with pytest.raises(TypeError, match=beginning(message)):
        fastopt.Adam(params)


@pytest.mark.parametrize("params", [[], (), {}], ids=repr)
def test_no_parameters(params):
    with pytest.raises(ValueError, match=exactly(f"`params` must hold at least one array, got {params!r}.")):
        fastopt.Adam(params)


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_missing_parameters(cls):
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'params'"):
        cls()


x = np.arange(6.0)
OVERLAPS = {
    "twice": ([x, x], 1, 0),
    "twice, empty": ([x[:0], x[:0].view()], None, None),
    "the same empty array": ([x[:0]] * 2, 1, 0),
    "by one element": ([x[:4], x[3:]], 1, 0),
    "one inside another": ([np.ones(2), x[2:4], x], 2, 1),
    "in other dtypes": ([x.view(np.float32)[:5], x[2:]], 1, 0),
    "next to each other": ([x[:3], x[3:]], None, None),
}


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_parameters_that_overlap(overlap):
    params, later, earlier = OVERLAPS[overlap]
    if later is None:
        assert fastopt.SGD(params).params == params
        return
    reason = "as each entry is updated once a step, got overlapping arrays; pass each array once."
    with pytest.raises(
        ValueError, match=exactly(f"`params[{later}]` must not share memory with `params[{earlier}]`, {reason}")
    ):
        fastopt.SGD(params)
    named = dict(zip("abc", params, strict=False))
    with pytest.raises(
        ValueError,
        match=exactly(f"`params['{'abc'[later]}']` must not share memory with `params['{'abc'[earlier]}']`, {reason}"),
    ):
        fastopt.SGD(named)
    assert x.tolist() == [0, 1, 2, 3, 4, 5]


def test_parameters_are_the_callers_own_in_their_structure():
    arrays = [np.ones(3), np.ones((2, 2), np.float32)]
    assert fastopt.Adam(arrays[0]).params is arrays[0]
    assert all(own is given for own, given in zip(fastopt.Adam(arrays).params, arrays, strict=True))
    named = fastopt.Adam({"w": arrays[0], 3: arrays[1]}).params
    assert list(named) == ["w", 3] and named["w"] is arrays[0] and named[3] is arrays[1]


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_subclasses_of_ndarray_are_parameters_too(tmp_path):
    values = np.arange(1.0, 7.0).reshape(2, 3)
    expected = values.copy()
    fastopt.Adam(expected, learning_rate=0.1).step(values)
    matrix = np.asmatrix(values.copy())
    on_disk = np.memmap(tmp_path / "weights", np.float64, "w+", shape=(2, 3))
    on_disk[...] = values
    for params in (matrix, on_disk):
        fastopt.Adam(params, learning_rate=0.1).step(values)
        assert np.array_equal(params, expected)
    on_disk.flush()
    assert (tmp_path / "weights").read_bytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_zero_dimensions(case, dtype):
    cls, keywords = case
    point, line = np.array(0.7, dtype), np.array([0.7], dtype)
    opt, twin = cls(point, **keywords), cls(line, **keywords)
    for grad in (0.3, -0.2, 0.5):
        opt.step(np.array(grad, dtype))
        opt.step(np.dtype(dtype).type(grad))  # what NumPy's arithmetic on 0-d arrays returns
        twin.step(np.array([grad], dtype))
        twin.step(np.array([grad], dtype))
    assert bits(opt) == bits(twin)
    for array, per in zip(opt.state.values(), _core.slot_shapes(cls.rule, opt._values).values(), strict=True):
        assert array.shape == slot_layout(point, per)[0]


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 2, 5)], ids=str)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_zero_size(case, shape):
    cls, keywords = case
    empty, full = np.ones(shape), np.ones(3)
    opt = cls([empty, full], clip_norm=1.0, **keywords)
    alone = cls(np.ones(shape), **keywords)
    twin = cls(np.ones(3), clip_norm=1.0, **keywords)
    for _ in range(3):
        opt.step([np.ones(shape), np.ones(3)])
        alone.step(np.ones(shape))
        twin.step(np.ones(3))
    assert opt.step_count == alone.step_count == 3
    assert full.tobytes() == twin.params.tobytes()
    for slot, per in _core.slot_shapes(cls.rule, alone._values).items():
        assert alone.state[slot].shape == slot_layout(alone.params, per)[0]


@pytest.mark.parametrize("size", [0, 2, 100_000])
@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_parameter_resized_after_binding(cls, size):
    params = [np.ones(4), np.ones(5)]
    opt = cls(params)
    opt.step([np.ones(4), np.ones(5)])
    params[1].resize(size, refcheck=False)
    message = (
        "`params[1]` must stay where it was when the optimizer was made, got an array that has been resized; "
        "make a new optimizer."
    )
    with refused(opt, ValueError, exactly(message)):
        opt.step([np.ones(4), np.ones(size)])


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_parameter_made_read_only_after_binding(cls):
    params = {"w": np.ones(4), "b": np.ones(2)}
    opt = cls(params)
    params["b"].flags.writeable = False
    grads = {"w": np.ones(4), "b": np.ones(2)}
    with refused(opt, ValueError, exactly("`params['b']` must be writable, got an array made read-only since.")):
        opt.step(grads)
    params["b"].flags.writeable = True
    opt.step(grads)
    assert opt.step_count == 1


def test_arrays_resized_by_the_schedule_are_noticed():
    """A schedule is the caller's code in the middle of a step; pointers must not be taken before it runs."""
    param, grad = np.ones(4), np.ones(4)
    victim = param

    def schedule(t):
        victim.resize(0, refcheck=False)
        return 0.1

    opt = fastopt.SGD(param, schedule)
    with pytest.raises(ValueError, match="got an array that has been resized"):
        opt.step(grad)
    opt, victim = fastopt.SGD(np.ones(4), schedule), grad
    with refused(opt, ValueError, exactly("`grad` must have the shape (4,) of its parameter, got (0,).")):
        opt.step(grad)


def test_base_class_and_second_init():
    with pytest.raises(TypeError, match="Optimizer is a base class without an update rule; make one of its subclasses"):
        fastopt.Optimizer(np.ones(3))
    opt = fastopt.Adam(np.ones(3))
    with refused(opt, RuntimeError, exactly("Adam.__init__() must be called once only; make a new optimizer.")):
        opt.__init__(np.ones(1000), learning_rate=0.5)
    opt.step(np.ones(3))
    assert opt.learning_rate == 0.001 and opt.step_count == 1
