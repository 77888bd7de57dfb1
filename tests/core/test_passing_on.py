"""Objects that are pickled, copied or handed to other processes go on there with the same bits."""

import copy
import multiprocessing
import pickle
import warnings

import numpy as np
import pytest
from helpers import flat, misaligned, read_only, run_interpreter
from passing_on import OBJECTS, draw, named, next_ten, trained

import fastopt
from fastopt import objectives

# --- in one process --------------------------------------------------------------------------------------


def out_of_band(buffer_of):
    """Through a pickle whose arrays are handed over apart, as libraries do that send or store them."""

    def way(each):
        buffers = []
        stream = pickle.dumps(each, 5, buffer_callback=lambda buffer: buffers.append(buffer.raw().tobytes()))
        return pickle.loads(stream, buffers=[buffer_of(contents) for contents in buffers])

    return way


def dumped(mode):
    def way(each, tmp_path):
        joblib = pytest.importorskip("joblib")
        joblib.dump(each, tmp_path / "each.joblib")
        return joblib.load(tmp_path / "each.joblib", mmap_mode=mode)

    return way


WAYS = {
    **{f"pickle {p}": lambda each, p=p: pickle.loads(pickle.dumps(each, p)) for p in range(2, 6)},
    "read-only": out_of_band(bytes),
    "misaligned": out_of_band(lambda contents: memoryview(bytearray(b"0" + contents))[1:]),
    "read-only and misaligned": out_of_band(lambda contents: memoryview(b"0" + contents)[1:]),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}
MAPPED = {f"joblib, mapped {mode}": dumped(mode) for mode in (None, "r", "c", "r+")}


@pytest.mark.parametrize("way", [*WAYS, *MAPPED])
@pytest.mark.parametrize("kind", OBJECTS)
def test_same_bits_in_the_next_ten_steps(kind, way, tmp_path):
    expected, each = next_ten(OBJECTS[kind]()), OBJECTS[kind]()
    other = MAPPED[way](each, tmp_path) if way in MAPPED else WAYS[way](each)
    assert type(other) is type(each)
    assert next_ten(other) == expected


@pytest.mark.parametrize("way", ["read-only", "misaligned", "read-only and misaligned"])
def test_parameters_are_those_that_are_updated(way):
    for structure in (lambda a, b: a, lambda a, b: [a, b], lambda a, b: {"a": a, 2: b}):
        opt = WAYS[way](fastopt.SGD(structure(np.ones(3), np.zeros((2, 2))), 1.0))
        before = [array.copy() for array in flat(opt.params)]
        opt.step(structure(np.ones(3), np.ones((2, 2))))
        assert [array.tolist() for array in flat(opt.params)] == [(array - 1).tolist() for array in before]


def test_parameters_that_can_be_updated_are_shared_with_what_came_along():
    params = draw(0)
    model, opt = out_of_band(bytearray)((params, fastopt.Adam(params)))
    assert all(opt.params[name] is model[name] for name in params)


def test_matrix_that_came_along_stays_as_it_is():
    X, objective = WAYS["misaligned"]((OBJECTS["csr"]().X, OBJECTS["csr"]()))
    assert not X.data.flags.aligned
    assert objective.X.data.flags.aligned


def test_attributes_of_subclasses():
    opt = named()
    opt.notes = ["kept"]
    shallow, deep = copy.copy(opt), copy.deepcopy(opt)
    assert shallow.notes is opt.notes and deep.notes == opt.notes and deep.notes is not opt.notes
    shallow.learning_rate = 0.5
    assert opt.learning_rate == 0.01


@pytest.mark.parametrize("spoilt", [misaligned, read_only])
def test_constructor_does_not_copy_but_refuse(spoilt):
    with pytest.raises(ValueError, match=r"`params` must be (writable|aligned)"):
        fastopt.Adam(spoilt(np.ones(3)))
    if spoilt is misaligned:
        with pytest.raises(ValueError, match="aligned"):
            objectives.LeastSquares(spoilt(np.ones((3, 2))), np.ones(3))


def test_refused_state_of_a_pickle():
    """Rebuilding checks what it is given, as loading does."""
    rebuild, arguments, state = trained(fastopt.Adam).__reduce__()
    with pytest.raises(ValueError, match="step_count"):
        rebuild(*arguments).__setstate__(state | {"step_count": -1})


@pytest.mark.parametrize(
    ("method", "text"),
    [
        (fastopt.scipy_method(), "fastopt.scipy_method(None)"),
        (fastopt.scipy_method("adam", tol=1e-3), "fastopt.scipy_method('adam', tol=0.001)"),
        (fastopt.scipy_method(fastopt.Lion, rng=3), "fastopt.scipy_method(Lion, rng=3)"),
    ],
)
def test_repr_of_methods(method, text):
    assert repr(method) == repr(pickle.loads(pickle.dumps(method))) == text


# --- other processes -------------------------------------------------------------------------------------


def through_multiprocessing(start):
    def way(function, objects):
        with multiprocessing.get_context(start).Pool(1) as pool:
            return pool.map(function, objects)

    return way


def through_joblib(mode):
    def way(function, objects):
        joblib = pytest.importorskip("joblib")
        # Arrays of a hundred bytes and more are mapped into memory.
        parallel = joblib.Parallel(n_jobs=2, backend="loky", max_nbytes=100, mmap_mode=mode)
        return parallel(joblib.delayed(function)(each) for each in objects)

    return way


def through_joblib_as_it_is(function, objects):
    joblib = pytest.importorskip("joblib")
    return joblib.Parallel(n_jobs=2)(joblib.delayed(function)(each) for each in objects)


def through_dask(function, objects):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own and of its dependencies
        distributed = pytest.importorskip("dask.distributed")
        with (
            distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
            distributed.Client(cluster) as client,
        ):
            return client.gather([client.submit(function, each, pure=False) for each in objects])


PROCESSES = {
    **{start: through_multiprocessing(start) for start in multiprocessing.get_all_start_methods()},
    **{f"joblib, mapped {mode}": through_joblib(mode) for mode in ("r", "c")},
    "joblib": through_joblib_as_it_is,
    "dask": through_dask,
}


@pytest.mark.slow
@pytest.mark.parametrize("way", PROCESSES)
def test_same_bits_in_other_processes(way):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork while other threads are there
        done = PROCESSES[way](next_ten, [make() for make in OBJECTS.values()])
    for (kind, make), other in zip(OBJECTS.items(), done, strict=True):
        assert other == next_ten(make()), kind


@pytest.mark.slow
@pytest.mark.parametrize("way", PROCESSES)
def test_what_comes_back_goes_on(way):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        back = PROCESSES[way](copy.copy, [make() for make in OBJECTS.values()])
    for (kind, make), other in zip(OBJECTS.items(), back, strict=True):
        assert next_ten(other) == next_ten(make()), kind


MAIN_PROGRAM = """
import multiprocessing
import numpy as np, fastopt

class Mine(fastopt.Adam):
    def __init__(self, params, name):
        super().__init__(params, learning_rate=0.1)
        self.name = name

class Loss(fastopt.objectives.Logistic):
    pass

class Result(type(fastopt.minimize(lambda x: x @ x, [1.0], options={"maxiter": 1}))):
    pass

def work(each):
    opt, loss, result = each
    opt.step(loss.gradient(opt.params))
    return opt, loss, result

if __name__ == "__main__":
    opt = Mine(np.ones(2), "mine")
    loss = Loss(np.eye(2), [0, 1])
    here = work((Mine(np.ones(2), "mine"), loss, None))[0]
    for start in multiprocessing.get_all_start_methods():
        with multiprocessing.get_context(start).Pool(1) as pool:
            (back,) = pool.map(work, [(opt, loss, Result(x=opt.params, optimizer=opt))])
        assert [type(each) for each in back] == [Mine, Loss, Result], back
        assert back[0].name == "mine" and back[0].params.tolist() == here.params.tolist()
        assert back[2].optimizer is back[0]
    print("done")
"""


@pytest.mark.slow
def test_classes_of_the_main_program(tmp_path):
    (tmp_path / "program.py").write_text(MAIN_PROGRAM)
    assert run_interpreter(str(tmp_path / "program.py")) == "done"
