"""Gradients that do not fit: clear messages, nothing changed; and unusual ones that do fit."""

import numpy as np
import pytest
from cases import OPTIMIZERS
from helpers import beginning, bits, misaligned, read_only, refused, spread

import fastopt

SHAPE = (4, 6)
SWAPPED = np.dtype(np.float64).newbyteorder("S")
OVERLAP = "must not share memory with the parameters or the state, which the step overwrites, got an overlapping array."


def wrong_shape(*shape):
    return lambda param: np.ones(shape), ValueError, f"must have the shape (4, 6) of its parameter, got {shape}."


def wrong_dtype(dtype):
    message = f"must be float64 like its parameter, got {dtype}."
    return lambda param: np.ones(SHAPE, dtype), TypeError, message


def no_array(value, name):
    message = f"must be a NumPy array, got {name}."
    return lambda param: value, TypeError, message


# What is wrong -> the gradient for a parameter, the exception and its message after the name of the argument.
FAULTS = {
    "transposed": wrong_shape(6, 4),
    "flat": wrong_shape(24),
    "one row": wrong_shape(6),
    "one more axis": wrong_shape(1, 4, 6),
    "0-d": wrong_shape(),
    "empty": wrong_shape(0, 6),
    "float32": wrong_dtype("float32"),
    "float16": wrong_dtype("float16"),
    "int64": wrong_dtype("int64"),
    "bool": wrong_dtype("bool"),
    "complex128": wrong_dtype("complex128"),
    "object": wrong_dtype("object"),
    "byte-swapped": (
        lambda param: np.ones(SHAPE, SWAPPED),
        TypeError,
        f"must be of native byte order, got dtype {SWAPPED.str!r}.",
    ),
    "misaligned": (
        lambda param: misaligned(np.ones(SHAPE)),
        ValueError,
        "must be aligned to its dtype, got a misaligned array.",
    ),
    "misaligned and strided": (
        lambda param: misaligned(np.ones((8, 6)))[::2],
        ValueError,
        "must be aligned to its dtype, got a misaligned array.",
    ),
    "nested list": no_array(np.ones(SHAPE).tolist(), "list"),
    "scalar": no_array(1.0, "float"),
    "numpy scalar": no_array(np.float64(1.0), "float64"),
    "None": no_array(None, "NoneType"),
    "masked": no_array(np.ma.ones(SHAPE), "MaskedArray"),
    "words": no_array("grad", "str"),
    "a class": no_array(fastopt.RowSparse, "type"),
    "the parameter": (lambda param: param, ValueError, OVERLAP),
    "a view of it": (lambda param: param.reshape(24).reshape(SHAPE), ValueError, OVERLAP),
    "it reversed": (lambda param: param[::-1, ::-1], ValueError, OVERLAP),
    "one entry of it everywhere": (lambda param: np.broadcast_to(param[2:3, 3:4], SHAPE), ValueError, OVERLAP),
}
# The parameter among others: how to give two arrays, what the second is called, how to get at it.
BINDINGS = {
    "alone": (lambda first, second: second, "`grad`", lambda params: params),
    "in a list": (lambda first, second: [first, second], "`grad[1]`", lambda params: params[1]),
    "in a dict": (lambda first, second: {"w": first, "b": second}, "`grad['b']`", lambda params: params["b"]),
}


@pytest.mark.parametrize("binding", BINDINGS)
@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_gradient_that_does_not_fit(cls, binding, rng):
    """All faults on one optimizer, which then goes on as if there had been none."""
    give, name, second = BINDINGS[binding]
    start, grads = ([rng.standard_normal(7), rng.standard_normal(SHAPE)] for _ in range(2))
    opt, twin = (cls(give(*(each.copy() for each in start)), clip_norm=1.0) for _ in range(2))
    opt.step(give(*grads))
    twin.step(give(*grads))
    for fault, (make, exception, message) in FAULTS.items():
        if fault == "None" and binding != "alone":
            continue  # test_absent_gradients.py
        with refused(opt, exception, beginning(f"{name} {message}")):
            opt.step(give(grads[0], make(second(opt.params))))
    assert opt.last_grad_norm == twin.last_grad_norm
    opt.step(give(*grads))
    twin.step(give(*grads))
    assert bits(opt) == bits(twin)


ONE = np.ones(2)
STRUCTURES = {
    "a list for an array": (ONE, [ONE], "must be a NumPy array, got list."),
    "an array for a list": ([ONE], ONE, "must be a list like the parameters, got ndarray."),
    "a dict for a list": ([ONE], {0: ONE}, "must be a list like the parameters, got dict."),
    "an iterator for a list": ([ONE], iter([ONE]), "must be a list like the parameters, got list_iterator."),
    "too few": ([ONE, 2 * ONE], [ONE], "must have 2 arrays like the parameters, got 1."),
    "too many": ([ONE], [ONE, ONE, ONE], "must have 1 arrays like the parameters, got 3."),
    "a list for a dict": ({"w": ONE}, [ONE], "must be a dict like the parameters, got list."),
    "a key too many": (
        {"w": ONE},
        {"w": ONE, "c": ONE},
        "must have the keys of the parameters, got missing [] and unknown ['c'].",
    ),
    "another key": (
        {"w": ONE, "b": 2 * ONE},
        {"w": ONE, 1: ONE},
        "must have the keys of the parameters, got missing ['b'] and unknown [1].",
    ),
}


@pytest.mark.parametrize("fault", STRUCTURES)
def test_gradient_in_another_structure(fault):
    params, grad, message = STRUCTURES[fault]
    opt = fastopt.Adam(params)
    with refused(opt, (TypeError, ValueError), beginning(f"`grad` {message}")):
        opt.step(grad)


def test_order_of_keys_and_kind_of_sequence_do_not_matter(rng):
    params, grads = ({name: rng.standard_normal(3) for name in "wbc"} for _ in range(2))
    listed = [each.copy() for each in params.values()]
    named, in_tuple = fastopt.Adam(params), fastopt.Adam(listed)
    named.step({name: grads[name] for name in "cwb"})
    in_tuple.step(tuple(grads.values()))
    assert bits(named) == bits(in_tuple)


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_gradient_that_shares_memory_with_the_state(cls, rng):
    opt = cls([np.ones(3), np.ones(40)], **({"momentum": 0.9} if "momentum" in cls._declared else {}))
    opt.step([rng.standard_normal(3), rng.standard_normal(40)])
    assert opt.state
    for _, array in opt.state.values():
        if array.shape != (40,):  # of the state of matrices, or of sums: no gradient could look like it
            continue
        for grad in (array, array[::-1], array.view()):
            with refused(opt, ValueError, beginning(f"`grad[1]` {OVERLAP}")):
                opt.step([np.ones(3), grad])
        with refused(opt, ValueError, beginning(f"`grad[0]` {OVERLAP}")):
            opt.step([array[5:8], np.ones(40)])


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_strided_gradient_that_interleaves_with_the_parameter(cls):
    """The bounds of the gradient enclose the parameter: fine if no element is shared, refused if one is."""
    memory = np.linspace(1.0, 2.0, 200)
    param, grad = memory[41:44], memory[0:120:40]
    alone, twin = memory[41:44].copy(), memory[0:120:40].copy()
    opt, expected = cls(param), cls(alone)
    opt.step(grad)
    expected.step(twin)
    assert bits(opt) == bits(expected) and np.array_equal(grad, twin)
    for shared in (memory[41:199:50], memory[3:100:40]):
        with refused(opt, ValueError, beginning(f"`grad` {OVERLAP}")):
            opt.step(shared[:3])


def test_gradient_next_to_the_parameter():
    memory = np.ones(12)
    opt = fastopt.SGD([memory[4:6], memory[8:10]], learning_rate=0.5)
    opt.step([memory[2:4], memory[6:8]])
    opt.step([memory[6:8], memory[10:12]])
    assert memory.tolist() == [1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1]


def of_class(kind):
    return lambda grad: grad.view(kind)


LAYOUTS = {
    "column-major": np.asfortranarray,
    "spread": spread,
    "backwards": lambda grad: grad[::-1, ::-1].copy()[::-1, ::-1],
    "a field of records": lambda grad: grad.astype([("value", grad.dtype), ("other", grad.dtype)])["value"],
    "read-only": read_only,
    "read-only and spread": lambda grad: read_only(spread(grad).base)[::2, ::2],
    "matrix": of_class(np.matrix),
    "recarray": of_class(np.recarray),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("cls", OPTIMIZERS.values())
@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_layouts_and_subclasses_that_fit(cls, layout, rng):
    """Same bits as from a contiguous gradient, which is not written either."""
    start = rng.standard_normal((70, 50))
    opt, twin = cls(start.copy()), cls(start.copy())
    for _ in range(2):
        grad = rng.standard_normal((70, 50))
        same = LAYOUTS[layout](grad)
        opt.step(same)
        twin.step(grad)
        assert np.array_equal(same, grad)
    assert bits(opt) == bits(twin)


def test_gradient_in_a_file_or_repeated(tmp_path, rng):
    values = rng.standard_normal((3, 5))
    values.tofile(tmp_path / "grad")
    on_disk = np.memmap(tmp_path / "grad", np.float64, "r", shape=(3, 5))
    row = np.broadcast_to(values[0], (3, 5))
    opt, twin = fastopt.Adam(np.ones((3, 5))), fastopt.Adam(np.ones((3, 5)))
    for grad, plain in ((on_disk, values), (row, row.copy())):
        opt.step(grad)
        twin.step(plain)
    assert bits(opt) == bits(twin)
