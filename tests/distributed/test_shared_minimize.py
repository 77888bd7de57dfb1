"""`minimize` with `comm`: every rank has samples of its own, and all have the same result, to the last bit."""

import ctypes
import functools

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from thread_ranks import on_threads

import fastopt
import fastopt.distributed
from fastopt import objectives
from fastopt._minimize.shared_epochs import COLUMNS_PER_ENTRY

N, D, PARTS = 240, 7, 12
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, D))
Y = X @ np.arange(float(D)) + 0.1 * RNG.standard_normal(N)
SPARSE = scipy.sparse.random_array((N, 90), density=0.05, format="csr", random_state=np.random.default_rng(1))
LABELS = (np.arange(N) % 3 == 0).astype(float)
WEIGHTS = 1.0 + np.arange(N) % 5


def own(comm, cuts=None):
    """The samples of this rank: even shares, or those between cuts, the last of which are of ranks without any."""
    rank, n_ranks = comm.Get_rank(), comm.Get_size()
    bounds = [k * N // n_ranks for k in range(n_ranks + 1)] if cuts is None else [0, *cuts, *[N] * n_ranks]
    return slice(bounds[rank], bounds[rank + 1])


def bits(res):
    """Everything of a result but its time, its optimizer and its gradient, as bytes and numbers."""
    arrays = {name: values.tobytes() for name, values in res.history.items() if name != "time"}
    x = res.x if isinstance(res.x, dict) else {"x": res.x}
    solution = {name: each.tobytes() for name, each in x.items()}
    return {**arrays, **solution, **{name: res[name] for name in ("fun", "nit", "nepoch", "status", "message")}}


@functools.cache
def together(n_ranks, function, *arguments):
    """The result of a function, the same on all ranks; one start of the ranks is for all cases of it."""
    return same(on_threads(n_ranks, function, *arguments, seconds=300))


def same(results):
    """The result of all ranks."""
    assert all(each == results[0] for each in results), results
    return results[0]


# --- functions of Python -----------------------------------------------------------------------------------------


def squares(w, A, b):
    residual = A @ w - b
    return residual @ residual / (2 * len(b)), A.T @ residual / len(b)


def in_single(w, A, b):
    residual = A.astype("f4") @ w.astype("f4") - b.astype("f4")
    return np.mean(residual**2)


def factors(x, i, j, rating):
    u, v = x["users"][i], x["films"][j]
    residual = (u * v).sum(axis=1) + x["mean"] - rating
    slope = 2 / len(i) * residual[:, None]
    gradient = {"users": fastopt.RowSparse(i, slope * v), "films": fastopt.RowSparse(j, slope * u), "mean": slope.sum()}
    return np.mean(residual**2), gradient


def entries(w, A, b):
    value, gradient = squares(w, A, b)
    return value, scipy.sparse.csr_array(gradient[None])


START = {"users": RNG.standard_normal((20, 2)), "films": RNG.standard_normal((9, 2)), "mean": np.zeros(())}
RATINGS = RNG.integers(0, 20, N), RNG.integers(0, 9, N), RNG.standard_normal(N)
FUNCTIONS = {
    "value and gradient": (squares, np.zeros(D), (X, Y), {"jac": True}),
    "float32": (squares, np.zeros(D, "f4"), (X.astype("f4"), Y.astype("f4")), {"jac": True}),
    "gradient apart": (lambda *a: squares(*a)[0], np.zeros(D), (X, Y), {"jac": lambda *a: squares(*a)[1]}),
    "differences": (lambda *a: squares(*a)[0], np.zeros(D), (X, Y), {"method": "adam"}),
    "differences of float32": (in_single, np.zeros(D), (X, Y), {"method": "adam"}),
    "complex steps": (lambda w, A, b: ((A @ w - b) ** 2).mean(), np.zeros(D), (X, Y), {"jac": "cs"}),
    "spsa": (lambda *a: squares(*a)[0], np.zeros(D), (X, Y), {"jac": "spsa"}),
    "rows": (factors, START, RATINGS, {"jac": True, "method": "adagrad"}),
    "entries": (entries, np.zeros(D), (X, Y), {"jac": True, "method": "adagrad"}),
    "all at once": (squares, np.zeros(D), (X, Y), {"jac": True, "batch_size": N}),
    "averages and bounds": (squares, np.zeros(D), (X, Y), {"jac": True, "bounds": (-1, 3), "method": "asgd"}),
}  # fmt: skip


def of_function(comm, name, parts=None, cuts=None):
    fun, x0, data, keywords = FUNCTIONS[name]
    keywords = {"batch_size": 32, "rng": 0, "options": {"epochs": 3, "parts": parts}, **keywords}
    mine = own(comm, cuts)
    return bits(fastopt.minimize(fun, x0, data=tuple(each[mine] for each in data), comm=comm, **keywords))


def of_functions(comm, parts=None, cuts=None):
    return {name: of_function(comm, name, parts, cuts) for name in FUNCTIONS}


# Shares that have whole parts, and such that have not: the samples of these go to the rank where the part begins.
SHARES = [(2, None), (3, None), (4, None), (3, (37, 200)), (4, (0, 3, 7))]


@pytest.mark.parametrize(("n_ranks", "cuts"), SHARES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_with_parts_have_the_same_bits_on_any_number_of_ranks(name, n_ranks, cuts):
    assert together(n_ranks, of_functions, PARTS, cuts)[name] == together(1, of_functions, PARTS, None)[name]


@pytest.mark.parametrize("name", ["value and gradient", "differences of float32", "rows"])
@pytest.mark.parametrize("cuts", [None, (37,), (200, 201), (0, 100)], ids=["even", "two", "three", "first has none"])
def test_ranks_agree_whatever_they_have_and_with_a_run_of_one_process(name, cuts):
    fun, x0, data, keywords = FUNCTIONS[name]
    shared = together(3, of_functions, None, cuts)[name]
    res = fastopt.minimize(fun, x0, data=data, batch_size=32, rng=0, options={"epochs": 3}, **keywords)
    found = np.frombuffer(shared["users" if isinstance(x0, dict) else "x"])
    expected = (res.x["users"] if isinstance(x0, dict) else res.x).ravel()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-3 if "float32" in name else 1e-9)
    assert (shared["nit"], shared["status"]) == (res.nit, res.status)


def held_out(comm, first):
    """Only some ranks have samples that are held out."""
    mine, own_share = own(comm, None), own(comm, (first,))
    keywords = {"jac": True, "data": (X[mine], Y[mine]), "rng": 0, "options": {"epochs": 3, "parts": PARTS}}
    res = fastopt.minimize(squares, np.zeros(D), validation=(X[own_share], Y[own_share]), comm=comm, **keywords)
    return bits(res)


@pytest.mark.parametrize("first", [0, N], ids=["first has none", "others have none"])
def test_validation_where_ranks_have_no_samples(first):
    assert same(on_threads(3, held_out, first)) == same(on_threads(1, held_out, N))


def by_index(comm):
    mine = own(comm)
    A, b = X[mine], Y[mine]
    options = {"epochs": 3, "parts": PARTS}
    n = len(b)
    return bits(
        fastopt.minimize(
            lambda w, k: squares(w, A[k], b[k]), np.zeros(D), jac=True, n_samples=n, batch_size=32, rng=0,
            options=options, comm=comm,
        )
    )  # fmt: skip


def test_samples_by_their_index_are_those_of_the_rank():
    assert together(2, by_index) == together(2, of_functions, PARTS, None)["value and gradient"]


def compiled(comm, x0):
    """A compiled objective over the samples of this rank: the mean of the squared distances to them."""
    points = np.ascontiguousarray(X[own(comm)])

    def fun(n, x, n_batch, batch, gradient, user_data):
        x, gradient = (np.ctypeslib.as_array(each, (n,)) for each in (x, gradient))
        away = x - points[np.ctypeslib.as_array(batch, (n_batch,))]
        gradient[:] = away.mean(axis=0)
        return float((away**2).sum()) / (2 * n_batch)

    reals, size = ctypes.POINTER(ctypes.c_double), ctypes.c_ssize_t
    made = ctypes.CFUNCTYPE(ctypes.c_double, size, reals, size, ctypes.POINTER(ctypes.c_int64), reals, ctypes.c_void_p)(
        fun
    )
    keywords = {"batch_size": 32, "rng": 0, "options": {"epochs": 3, "parts": PARTS}}
    return fastopt.minimize(scipy.LowLevelCallable(made), x0, n_samples=len(points), comm=comm, **keywords)


def of_compiled(comm, structure):
    return bits(compiled(comm, {"a": np.zeros(3), "b": np.zeros((2, 2))} if structure else np.zeros(D)))


@pytest.mark.parametrize("structure", [False, True])
def test_compiled_objectives_have_samples_of_their_rank(structure):
    alone = together(1, of_compiled, structure)
    assert together(3, of_compiled, structure) == alone
    found = np.concatenate([np.frombuffer(alone[key]) for key in ("ab" if structure else "x")])
    assert np.abs(found - X.mean(axis=0)).max() < 0.1


# --- built-in objectives -----------------------------------------------------------------------------------------

PENALTIES = {"l2": 1e-3, "l1": 1e-4}
BUILT_IN = {
    "adagrad": ({"method": "adagrad"}, PENALTIES),
    "sgd": ({"method": "sgd"}, PENALTIES),
    "sgd, one at a time": ({"method": "sgd", "batch_size": 1}, PENALTIES),
    "sgd, exact": ({"method": "sgd", "options": {"momentum": 0.9, "sparse": "exact"}}, {"l2": 1e-3}),
    "ftrl": ({"method": "ftrl"}, {"l1": 1e-3}),
    "adam": ({"method": "adam"}, {"l2": 1e-3}),
    "prodigy": ({}, {"l2": 1e-3}),
    "momo": ({"method": "momo"}, {"l2": 1e-3}),
    "clipped": ({"method": "adam", "options": {"clip_norm": 0.01, "nonfinite": "skip"}}, {}),
    "bounds": ({"method": "sgd", "bounds": (-0.1, 0.1)}, PENALTIES),
    "linear": ({"method": "sgd"}, {"linear": np.linspace(-0.1, 0.1, 91)}),
}


def of_objective(comm, name, dtype, dense, parts=None, cuts=None):
    keywords, penalties = BUILT_IN[name]
    mine = own(comm, cuts)
    samples = SPARSE[mine].astype(dtype)
    objective = objectives.Logistic(
        samples.toarray() if dense else samples, LABELS[mine], fit_intercept=True, sample_weight=WEIGHTS[mine],
        **penalties,
    )  # fmt: skip
    options = {"epochs": 3, "parts": parts, **keywords.get("options", {})}
    keywords = {"batch_size": 32, "rng": 0, **keywords, "options": options}
    return bits(fastopt.minimize(objective, np.zeros(91), comm=comm, **keywords))


def of_objectives(comm, dtype, parts=None, cuts=None):
    kinds = [(name, dense) for name in BUILT_IN for dense in (False, True)]
    return {kind: of_objective(comm, kind[0], dtype, kind[1], parts, cuts) for kind in kinds}


@pytest.mark.parametrize(("n_ranks", "cuts"), SHARES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("dense", [False, True], ids=["CSR", "dense"])
@pytest.mark.parametrize("name", BUILT_IN)
def test_objectives_with_parts_have_the_same_bits_on_any_number_of_ranks(name, dense, dtype, n_ranks, cuts):
    alone = together(1, of_objectives, dtype, PARTS, None)
    assert together(n_ranks, of_objectives, dtype, PARTS, cuts)[name, dense] == alone[name, dense]


@pytest.mark.parametrize("dense", [False, True], ids=["CSR", "dense"])
@pytest.mark.parametrize("name", BUILT_IN)
def test_objectives_of_ranks_are_one_objective(name, dense):
    """Weights are divided by the mean over all ranks, and one rank has no samples."""
    keywords, penalties = BUILT_IN[name]
    shared = together(3, of_objectives, "float64", None, (100, 240))[name, dense]
    samples = SPARSE.toarray() if dense else SPARSE
    objective = objectives.Logistic(samples, LABELS, fit_intercept=True, sample_weight=WEIGHTS, **penalties)
    keywords = {"batch_size": 32, "rng": 0, **keywords, "options": {"epochs": 3, **keywords.get("options", {})}}
    res = fastopt.minimize(objective, np.zeros(91), **keywords)
    np.testing.assert_allclose(np.frombuffer(shared["x"]), res.x, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(shared["fun"], res.fun, rtol=1e-9)
    assert (shared["nit"], shared["status"]) == (res.nit, res.status)


WIDE = scipy.sparse.random_array((N, 6000), density=1e-3, format="csr", random_state=np.random.default_rng(1))


def of_wide(comm, method, parts=None, cuts=None):
    """A run whose batches have few of the columns."""
    mine = own(comm, cuts)
    options = {"epochs": 3, "parts": parts, "learning_rate": 0.1, "sparse": "exact", **WIDE_METHODS[method]}
    objective = objectives.Logistic(WIDE[mine], LABELS[mine], fit_intercept=True)
    keywords = {"method": method, "batch_size": 8, "rng": 0, "options": options}
    return bits(fastopt.minimize(objective, np.zeros(6001), comm=comm, **keywords))


WIDE_METHODS = {"adam": {}, "sgd": {"momentum": 0.9}}


@pytest.mark.parametrize("method", WIDE_METHODS)
def test_steps_over_few_columns_are_deferred(method):
    """Exact steps, with the same bits on any number of ranks, one of them without samples."""
    assert 8 * 6 * COLUMNS_PER_ENTRY < WIDE.shape[1]
    alone = together(1, of_wide, method, PARTS, None)
    assert together(3, of_wide, method, PARTS, None) == alone
    assert together(3, of_wide, method, PARTS, (100, N)) == alone
    options = {"epochs": 3, "learning_rate": 0.1, "sparse": "exact", **WIDE_METHODS[method]}
    objective = objectives.Logistic(WIDE.toarray(), LABELS, fit_intercept=True)
    res = fastopt.minimize(objective, np.zeros(6001), method=method, batch_size=8, rng=0, options=options)
    np.testing.assert_allclose(np.frombuffer(alone["x"]), res.x, rtol=1e-7, atol=1e-9)


def of_targets(comm, cuts):
    """Two targets, which a rank without samples knows nothing of."""
    mine = own(comm, cuts)
    targets = np.stack([Y, -Y], axis=1)[mine] if mine.stop > mine.start else np.zeros(0)
    objective = objectives.LeastSquares(X[mine], targets)
    options = {"epochs": 2, "parts": PARTS}
    return bits(fastopt.minimize(objective, np.zeros((D, 2)), rng=0, options=options, comm=comm))


def test_targets_are_those_of_all_ranks():
    assert together(3, of_targets, (100, 240)) == together(3, of_targets, (37, 200)) == together(1, of_targets, None)


def of_classes(comm):
    """The classes of the ranks are 0 and 1, 0 to 3, and none."""
    mine = own(comm, (100, 240))
    labels = np.where(np.arange(N) < 100, np.arange(N) % 2, np.arange(N) % 4)[mine]
    objective = objectives.Softmax(X[mine], labels, l2=1e-3)
    f = fastopt.distributed.objective(objective, comm)
    return f.n_parameters, bits(fastopt.minimize(objective, np.zeros(4 * D), rng=0, options={"epochs": 2}, comm=comm))


def test_classes_are_those_of_all_ranks():
    assert together(3, of_classes)[0] == 4 * D


def global_function(comm, cuts=None):
    mine = own(comm, cuts)
    objective = objectives.Logistic(SPARSE[mine], LABELS[mine], l2=1e-2, sample_weight=WEIGHTS[mine])
    f = fastopt.distributed.objective(objective, comm, parts=PARTS)
    res = scipy.optimize.minimize(f, np.zeros(f.n_parameters), jac=True, method="L-BFGS-B")
    return res.x.tobytes(), res.fun, res.nit, f.n_samples, f.total_weight, f.max_smoothness


def test_global_function_for_methods_of_scipy():
    assert together(3, global_function) == together(3, global_function, (17, 17)) == together(1, global_function)
    objective = objectives.Logistic(SPARSE, LABELS, l2=1e-2, sample_weight=WEIGHTS)
    res = scipy.optimize.minimize(objective.value_and_gradient, np.zeros(90), jac=True, method="L-BFGS-B")
    x, fun, _, n, weight, smoothness = together(3, global_function, (17, 17))
    np.testing.assert_allclose(np.frombuffer(x), res.x, atol=1e-5)
    np.testing.assert_allclose([fun, n, weight], [res.fun, N, WEIGHTS.sum()])
    np.testing.assert_allclose(smoothness, objective.max_smoothness)


# --- steps of each rank by itself ----------------------------------------------------------------------------------


LOCAL = {"epochs": 30, "learning_rate": 0.1, "parallel": "local"}
METHODS = {"svrg": {"epochs": 40}, "sgd": LOCAL, "adam": LOCAL, "adagrad": LOCAL}


def of_methods(comm, cuts=None):
    return {method: of_method(comm, method, options, cuts) for method, options in METHODS.items()}


def of_method(comm, method, options, cuts):
    mine = own(comm, cuts)
    objective = objectives.Logistic(SPARSE[mine], LABELS[mine], l2=1e-2, fit_intercept=True)
    size = None if method == "svrg" else 16
    return bits(
        fastopt.minimize(objective, np.zeros(91), method=method, batch_size=size, rng=0, options=options, comm=comm)
    )


@pytest.mark.parametrize("cuts", [None, (50, 240)], ids=["even", "one has none"])
def test_svrg_has_the_gradient_of_all(cuts):
    objective = objectives.Logistic(SPARSE, LABELS, l2=1e-2, fit_intercept=True)
    best = scipy.optimize.minimize(objective.value_and_gradient, np.zeros(91), jac=True, tol=1e-12).fun
    found = together(3, of_methods, cuts)["svrg"]
    assert best - 1e-12 <= found["fun"] <= best + 1e-5
    assert found["nit"] == 40 * N


def diverging(comm):
    mine = own(comm, (52,))
    objective = objectives.Poisson(SPARSE[mine], WEIGHTS[mine])
    keywords = {"method": "svrg", "rng": 6, "options": {"learning_rate": 30.0}}
    return bits(fastopt.minimize(objective, np.zeros(90), comm=comm, **keywords))


def test_svrg_that_diverges_on_one_rank_ends_alike_on_all():
    result = same(on_threads(2, diverging))
    assert result["status"] == 2 and "on rank" in result["message"], result


@pytest.mark.parametrize("method", ["sgd", "adam", "adagrad"])
@pytest.mark.parametrize("cuts", [None, (50, 240)], ids=["even", "one has none"])
def test_local_steps_are_averaged(method, cuts):
    found = together(3, of_methods, cuts)[method]
    objective = objectives.Logistic(SPARSE, LABELS, l2=1e-2, fit_intercept=True)
    best = scipy.optimize.minimize(objective.value_and_gradient, np.zeros(91), jac=True, tol=1e-12).fun
    assert found["fun"] < best + 0.02 and found["nit"] == 30 * N // 16


def local_alone(comm):
    """On one rank the steps are those of a run by itself."""
    objective = objectives.Logistic(SPARSE, LABELS)
    keywords = {"method": "adam", "batch_size": 16, "rng": 0}
    one = fastopt.minimize(objective, np.zeros(90), options={"epochs": 3, "parallel": "local"}, comm=comm, **keywords)
    other = fastopt.minimize(objective, np.zeros(90), options={"epochs": 3}, **keywords)
    return bits(one) == bits(other)


def test_local_steps_of_one_rank():
    assert on_threads(1, local_alone) == [True]
