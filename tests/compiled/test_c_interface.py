"""The C interface: the same bits as steps from Python, a status for all that is refused, and who owns what."""

import ctypes
import gc
import threading
import weakref

import numpy as np
import pytest
from helpers import bits

import fastopt
import fastopt.ctypes as interface

OK, BUSY, BAD_ARGUMENT, BAD_INDEX, NONFINITE, READ_ONLY, MOVED, OVERLAP, NO_MEMORY, REFUSED = range(10)
PLAIN = [
    ("SGD", {"momentum": 0.9}),
    ("Adagrad", {}),
    ("Adam", {"weight_decay": 0.01}),
    ("Adam", {"clip_norm": 1.0, "nonfinite": "skip"}),
    ("LAMB", {}),
    ("RowwiseAdagrad", {}),
    ("Adafactor", {}),
    ("Adam", {"state_dtype": "bfloat16"}),
    ("Adam", {"sparse": "exact"}),
    ("SGD", {"momentum": 0.5, "sparse": "deferred"}),
    ("Adam", {"learning_rate": fastopt.schedules.step_decay(0.1, 2, 0.5)}),
]
NAMES = [f"{name} {', '.join(hyper)}" for name, hyper in PLAIN]


def pointers(*gradients):
    """What `grads` points to; the arrays must live."""
    return (ctypes.c_void_p * len(gradients))(*[None if g is None else g.ctypes.data for g in gradients])


def made(name, hyper, shapes=((30, 4), (7,)), dtype=np.float32):
    rng = np.random.default_rng(0)
    return getattr(fastopt, name)([rng.standard_normal(shape).astype(dtype) for shape in shapes], **hyper)


def step_dense(opt, *gradients):
    return interface.step_dense(opt.address, pointers(*gradients))


def step_rows(opt, array, index, rows, unique):
    return interface.step_rows(
        opt.address, array, index.ctypes.data, index.itemsize == 8, index.size, rows.ctypes.data, unique
    )


@pytest.mark.parametrize("name, hyper", PLAIN, ids=NAMES)
def test_dense_steps_have_the_bits_of_python(name, hyper):
    here, there = made(name, hyper), made(name, hyper)
    rng = np.random.default_rng(1)
    for present in ([True, True], [False, True], [True, True]):
        gradients = [rng.standard_normal(x.shape).astype(x.dtype) for x in here.params]
        given = [g if there_is else None for g, there_is in zip(gradients, present, strict=True)]
        there.step(given)
        assert step_dense(here, *given) == OK
        assert bits(here) == bits(there)
    assert interface.step_count(here.address) == here.step_count == 3


@pytest.mark.parametrize("unique", [True, False])
@pytest.mark.parametrize("integer", [np.int32, np.int64])
@pytest.mark.parametrize("name, hyper", PLAIN, ids=NAMES)
def test_steps_of_rows_have_the_bits_of_python(name, hyper, integer, unique):
    here, there = made(name, hyper), made(name, hyper)
    rng = np.random.default_rng(1)
    for array in (0, 1, 0):
        x = here.params[array]
        index = rng.choice(len(x), 5, replace=not unique).astype(integer)
        rows = rng.standard_normal((5, *x.shape[1:])).astype(x.dtype)
        there.step([fastopt.RowSparse(index, rows, unique=unique) if k == array else None for k in range(2)])
        assert step_rows(here, array, index, rows, unique) == OK
        assert bits(here) == bits(there)


def test_dense_and_sparse_steps_in_turn():
    here, there = made("Adagrad", {}), made("Adagrad", {})
    index, rows = np.array([3, 1]), np.ones((2, 4), np.float32)
    dense = [np.ones_like(x) for x in here.params]
    for _ in range(2):
        there.step(dense)
        assert step_dense(here, *dense) == OK
        there.step([fastopt.RowSparse(index, rows, unique=True), None])
        assert step_rows(here, 0, index, rows, True) == OK
        here.step(dense)
        there.step(dense)
    assert bits(here) == bits(there)


def test_large_steps_have_the_bits_of_python():
    here, there = (made("Adam", {"num_threads": 2}, [(300_000,)]) for _ in range(2))
    g = np.random.default_rng(1).standard_normal(300_000).astype(np.float32)
    there.step([g])
    assert step_dense(here, g) == OK
    assert bits(here) == bits(there)


def unchanged(opt, call):
    """The status of a call that is refused."""
    before, steps = bits(opt), opt.step_count
    status = call()
    assert bits(opt) == before and opt.step_count == steps
    return status


def test_arguments_that_do_not_fit():
    opt = made("Adagrad", {})
    index, rows = np.array([0, 1]), np.zeros((3, 4), np.float32)
    at = index.ctypes.data, 1, 2, rows.ctypes.data
    cases = [
        lambda: interface.step_dense(opt.address, None),
        lambda: step_dense(opt, np.zeros(500, np.uint8)[1:], None),
        lambda: interface.step_rows(opt.address, 2, *at, 1),
        lambda: interface.step_rows(opt.address, -1, *at, 1),
        lambda: interface.step_rows(opt.address, 0, index.ctypes.data, 1, -1, rows.ctypes.data, 1),
        lambda: interface.step_rows(opt.address, 0, index.ctypes.data, 1, 2**62, rows.ctypes.data, 1),
        lambda: interface.step_rows(opt.address, 0, None, 1, 2, rows.ctypes.data, 1),
        lambda: interface.step_rows(opt.address, 0, index.ctypes.data, 1, 2, None, 1),
        lambda: interface.step_rows(opt.address, 0, index.ctypes.data + 4, 1, 1, rows.ctypes.data, 1),
        lambda: interface.step_rows(opt.address, 0, index.ctypes.data, 1, 1, rows.ctypes.data + 2, 0),
        lambda: interface.catch_up(opt.address, 5, index.ctypes.data, 1, 2),
        lambda: interface.measure(opt.address, pointers(None, None), None, None),
        lambda: interface.set_learning_rate(opt.address, -1.0),
        lambda: interface.set_learning_rate(opt.address, float("nan")),
    ]
    assert [unchanged(opt, case) for case in cases] == [BAD_ARGUMENT] * len(cases)


@pytest.mark.parametrize("unique", [True, False])
@pytest.mark.parametrize("integer", [np.int32, np.int64])
@pytest.mark.parametrize("row", [-1, 30, np.iinfo(np.int32).min])
def test_rows_that_there_are_not(row, integer, unique):
    opt = made("Adagrad", {})
    index, rows = np.array([2, row], integer), np.ones((2, 4), np.float32)
    assert unchanged(opt, lambda: step_rows(opt, 0, index, rows, unique)) == BAD_INDEX
    assert interface.catch_up(opt.address, 0, index.ctypes.data, index.itemsize == 8, 2) == BAD_INDEX


@pytest.mark.parametrize("sparse", ["lazy", "exact"])
def test_nothing_has_to_catch_up(sparse):
    opt = made("Adam", {"sparse": sparse})
    index = np.array([2, 2])
    step_rows(opt, 0, index[:1], np.ones((1, 4), np.float32), True)
    assert unchanged(opt, lambda: interface.catch_up(opt.address, 0, index.ctypes.data, 1, 2)) == OK


@pytest.mark.parametrize("integer", [np.int32, np.int64])
def test_deferred_rows_catch_up(integer):
    here, there = (made("SGD", {"momentum": 0.5, "sparse": "deferred"}) for _ in range(2))
    index, rows, asked = np.array([3, 1]), np.ones((2, 4), np.float32), np.array([1, 3, 1], integer)
    for row in (0, 1):
        assert step_rows(here, 0, index[row:][:1], rows[:1], True) == OK
        there.step([fastopt.RowSparse(index[row:][:1], rows[:1]), None])
    behind = here.params[0].copy()
    assert interface.catch_up(here.address, 0, asked.ctypes.data, asked.itemsize == 8, 3) == OK
    there.catch_up({0: asked})
    assert not np.array_equal(here.params[0], behind)
    np.testing.assert_array_equal(here.params[0], there.params[0])


@pytest.mark.parametrize("sparse", ["lazy", "exact"])
def test_gradients_that_are_not_finite(sparse):
    opt = made("Adam", {"nonfinite": "raise", "sparse": sparse})
    gradients = [np.full_like(x, np.nan) for x in opt.params]
    assert unchanged(opt, lambda: step_dense(opt, *gradients)) == NONFINITE
    assert unchanged(opt, lambda: step_rows(opt, 0, np.array([1]), gradients[0], True)) == NONFINITE


def test_steps_that_are_skipped():
    opt = made("Adam", {"nonfinite": "skip"})
    before = [x.copy() for x in opt.params]
    assert step_dense(opt, *[np.full_like(x, np.inf) for x in opt.params]) == OK
    assert (opt.skipped_steps, opt.step_count) == (1, 0)
    np.testing.assert_array_equal(
        np.concatenate([x.ravel() for x in opt.params]), np.concatenate([x.ravel() for x in before])
    )


def test_gradients_in_the_memory_of_parameters_or_state():
    opt = made("Adagrad", {})
    table, vector = opt.params
    assert unchanged(opt, lambda: step_dense(opt, table, None)) == OVERLAP
    assert unchanged(opt, lambda: step_dense(opt, opt.state["accumulator"][0], None)) == OVERLAP
    assert unchanged(opt, lambda: step_rows(opt, 1, np.array([1]), table, True)) == OVERLAP
    assert unchanged(opt, lambda: step_rows(opt, 1, table.view(np.int32)[:1, 0], vector.copy(), True)) == OVERLAP


def test_parameters_that_became_read_only():
    opt = made("Adagrad", {})
    opt.params[0].flags.writeable = False
    assert unchanged(opt, lambda: step_dense(opt, *[np.ones_like(x) for x in opt.params])) == READ_ONLY
    assert step_dense(opt, None, np.ones(7, np.float32)) == OK


def test_parameters_that_have_another_memory():
    x = np.ones(4)
    opt = fastopt.Adagrad(x)
    assert step_dense(opt, np.ones(4)) == OK
    x.__setstate__(np.zeros(9).__reduce__()[2])
    assert interface.step_dense(opt.address, pointers(np.ones(4))) == MOVED
    assert opt.step_count == 1


def test_parameters_cannot_be_resized_while_the_optimizer_lives():
    x = np.ones(4)
    opt = fastopt.Adagrad(x)
    x.resize(4)
    assert opt.address == opt.address
    with pytest.raises(ValueError, match="does not own its data"):
        x.resize(1000, refcheck=False)
    opt.step(np.ones(4))
    with pytest.raises(ValueError, match="does not own its data"):
        x.resize(1000, refcheck=False)
    del opt
    gc.collect()
    assert x.flags.owndata
    x.resize(1000, refcheck=False)


def test_an_optimizer_of_parameters_that_were_resized_has_no_address():
    x = np.ones(4)
    opt = fastopt.Adagrad(x)
    x.resize(1000, refcheck=False)
    with pytest.raises(ValueError, match="`params`"):
        opt.address  # noqa: B018


def test_an_optimizer_without_init_has_no_address():
    for name in ("address", "capsule"):
        with pytest.raises(RuntimeError, match="must be initialised"):
            getattr(fastopt.Adam.__new__(fastopt.Adam), name)


def test_what_only_python_can_refuse():
    opt = fastopt.MoMo([np.ones(4)])
    assert unchanged(opt, lambda: step_dense(opt, np.ones(4))) == REFUSED


def test_concurrent_use_is_refused():
    entered, leave = threading.Event(), threading.Event()

    def schedule(t):
        entered.set()
        leave.wait(20)
        return 0.1

    opt = fastopt.Adam([np.ones(4)], learning_rate=schedule)
    address, g, index = opt.address, np.ones(4), np.array([0])
    with_a_schedule = threading.Thread(target=opt.step, args=([g],))
    with_a_schedule.start()
    assert entered.wait(20)
    assert interface.step_dense(address, pointers(g)) == BUSY
    assert interface.step_rows(address, 0, index.ctypes.data, 1, 1, g.ctypes.data, 1) == BUSY
    assert interface.catch_up(address, 0, index.ctypes.data, 1, 1) == BUSY
    assert interface.set_learning_rate(address, 0.5) == BUSY
    assert np.isnan(interface.learning_rate(address))
    leave.set()
    with_a_schedule.join()
    assert interface.step_dense(address, pointers(g)) == OK


def test_learning_rate():
    opt = made("Adam", {"learning_rate": 0.25})
    assert interface.learning_rate(opt.address) == 0.25
    assert interface.set_learning_rate(opt.address, 0.5) == OK
    assert interface.learning_rate(opt.address) == opt.learning_rate == 0.5


def test_last_norm():
    opt = made("SGD", {"clip_norm": 1.0})
    assert np.isnan(interface.last_norm(opt.address))
    step_dense(opt, None, np.full(7, 2.0, np.float32))
    assert interface.last_norm(opt.address) == opt.last_grad_norm == pytest.approx(2 * 7**0.5)


@pytest.mark.parametrize("hyper", [{}, {"clip_norm": 1.0}, {"clip_value": 1.0}], ids=str)
def test_measure(hyper):
    opt = made("SGD", hyper)
    norm, finite = ctypes.c_double(), ctypes.c_int()

    def measured(*gradients):
        assert interface.measure(opt.address, pointers(*gradients), ctypes.byref(norm), ctypes.byref(finite)) == OK
        return norm.value, bool(finite.value)

    expected = (1.0 if "clip_value" in hyper else 2.0) * 127**0.5
    gradients = [np.full_like(x, 2) for x in opt.params]
    assert measured(*gradients) == (pytest.approx(expected), True)
    gradients[1][3] = np.inf
    assert measured(*gradients)[1] is False
    assert opt.step_count == 0
    step_dense(opt, None, np.ones(7, np.float32))


def test_a_capsule_keeps_the_optimizer_alive():
    opt = made("Adam", {})
    dead, capsule, address = weakref.ref(opt.params[0]), opt.capsule, opt.address
    gradients = [np.ones_like(x) for x in opt.params]
    del opt
    gc.collect()
    assert interface.step_dense(address, pointers(*gradients)) == OK
    assert interface.step_count(address) == 1
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    assert get(capsule, b"fastopt.optimizer") == address
    del capsule
    gc.collect()
    assert dead() is None


def test_subclasses_and_structures():
    class Mine(fastopt.Adam):
        pass

    for params in (np.ones(4), {"a": np.ones(4)}, [np.ones(4)]):
        opt = Mine(params, sparse="exact")
        assert interface.step_dense(opt.address, pointers(np.ones(4))) == OK
        assert step_rows(opt, 0, np.array([1]), np.ones(1), True) == OK
        assert opt.step_count == 2
