"""Problems that the suites in benchmarks/ and the reports share.

This runs with every commit of the package: what an older one lacks raises NotImplementedError, which asv shows as n/a.
Nothing of the package is imported before it is used.
"""

import functools
import inspect
import itertools
import math

import numpy as np
import scipy.sparse
import timing
from scipy.special import expit

import fastopt

SEED = 0
ROW = 64  # entries in a row of a dense problem, if as many divide its size


def feature(name):
    """The public object of this commit, such as "RowSparse" or "objectives.Logistic"."""
    try:
        return functools.reduce(getattr, name.split("."), fastopt)
    except AttributeError:
        raise NotImplementedError(f"this commit has no fastopt.{name}") from None


def require_method(name):
    """Whether minimize takes a name as its method."""
    feature("minimize")
    if name not in fastopt.OPTIMIZERS and name not in feature("FINITE_SUM_METHODS"):
        raise NotImplementedError(f"this commit has no method {name!r}")
    require_vectors(name)


def takes_vectors(name):
    """Whether an optimizer takes vectors: there are rules for matrices alone."""
    try:
        fastopt.OPTIMIZERS[name](np.zeros(1))
    except ValueError:
        return False
    return True


def optimizer(name, params, **hyper):
    """An optimizer by its name in the registry."""
    if name not in fastopt.OPTIMIZERS:
        raise NotImplementedError(f"this commit has no optimizer {name!r}")
    if params.ndim == 1:
        require_vectors(name)
    require_options(name, hyper)
    return fastopt.OPTIMIZERS[name](params, **hyper)


def require_options(name, hyper):
    """Whether an optimizer of this commit can keep its state in fewer bits, and defer steps."""
    cls = fastopt.OPTIMIZERS[name]
    if "state_dtype" in hyper and "state_dtype" not in inspect.signature(cls).parameters:
        raise NotImplementedError("this commit has no `state_dtype`")
    if hyper.get("sparse") == "deferred" and not hasattr(cls, "catch_up"):
        raise NotImplementedError('this commit has no sparse="deferred"')


def require_vectors(name):
    """Whether what is measured with vectors can be measured with a method."""
    if name in fastopt.OPTIMIZERS and not takes_vectors(name):
        raise NotImplementedError(f"{name} takes no vectors")


# Dense steps


def dense_problem(n, dtype="float32"):
    """A parameter and a gradient, allocated as a user would: a matrix, as some rules look at rows or columns."""
    rng = np.random.default_rng(SEED)
    shape = n // math.gcd(n, ROW), math.gcd(n, ROW)
    return rng.standard_normal(shape, dtype=dtype), rng.standard_normal(shape, dtype=dtype)


def step_of(opt):
    """The steps of an optimizer as a function of the gradient: with some value, if they use that of the objective."""
    return (lambda grad: opt.step(grad, 1.0)) if getattr(opt, "_uses_value", False) else opt.step


def repeated_step(opt, gradients):
    """A callable run(steps) that goes through the gradients in turns. The optimizer has seen each of them once."""

    def run(steps):
        step = step_of(opt)
        for grad in itertools.islice(itertools.cycle(gradients), steps):
            step(grad)

    run(len(gradients))
    return run


def compiled_steps(name, n, dtype, **hyper):
    """A callable run(times): dense steps on n numbers from a loop in C."""
    x = np.random.default_rng(SEED).standard_normal(n).astype(dtype)
    opt = optimizer(name, x, num_threads=1, **hyper)
    feature("get_include")
    if opt._uses_value:
        raise NotImplementedError(f"steps of {name} from C have no value of the objective")
    import compiled_loop

    gradients = [np.full_like(x, 0.5)]
    return lambda times: compiled_loop.steps(opt, gradients, times)


def dense_steps(name, n, dtype, num_threads, **hyper):
    """Steps of an optimizer over all n entries."""
    params, grad = dense_problem(n, dtype)
    return repeated_step(optimizer(name, params, num_threads=num_threads, **hyper), [grad])


def steps_of_arrays(name, groups, num_threads):
    """Steps over a thousand arrays of a thousand entries each, which are float32."""
    if groups is not None and "groups" not in inspect.signature(fastopt.OPTIMIZERS[name]).parameters:
        raise NotImplementedError("this commit has no groups")
    keywords = {"num_threads": num_threads} | ({} if groups is None else {"groups": groups})
    opt = fastopt.OPTIMIZERS[name]([constant(1000) for _ in range(1000)], **keywords)
    grads = [constant(1000) for _ in range(1000)]
    return lambda: opt.step(grads)


def time_by_one_group(name, num_threads):
    """How long such a step takes with two groups of 500 arrays each, by that without groups."""
    two = {k: {"learning_rate": 1e-4} for k in range(500)}
    runs = {"one": steps_of_arrays(name, None, num_threads), "two": steps_of_arrays(name, two, num_threads)}
    times = timing.interleaved(runs)
    return times["two"] / times["one"]


# Sparse steps


def constant(shape, dtype="float32"):
    """Parameters that take no time to make, but whose memory has been touched."""
    params = np.empty(shape, dtype)
    params.fill(0.5)
    return params


def sparse_steps(name, shape, indices, dtype="float32", num_threads=1, unique=False, **hyper):
    """Steps with one gradient after the other: those rows of a table, or entries of a vector, that `indices` name."""
    row_sparse = feature("RowSparse")
    rng = np.random.default_rng(SEED)
    gradients = [
        row_sparse(index, rng.standard_normal((len(index), *shape[1:]), dtype=dtype), unique=unique)
        for index in indices
    ]
    return repeated_step(optimizer(name, constant(shape, dtype), num_threads=num_threads, **hyper), gradients)


def distinct_positions(n, k, how_many=1):
    """Some arrays of k distinct random positions below n, in random order."""
    rng = np.random.default_rng(SEED)
    return [rng.choice(n, k, replace=False) for _ in range(how_many)]


def few_duplicates(n, k):
    """k positions below n, about one in fifty of which repeats another one."""
    rng = np.random.default_rng(SEED)
    index = rng.choice(n, k, replace=False)
    index[: k // 50] = index[-(k // 50) :]
    return index


def zipf_positions(n, k):
    """k Zipf-distributed positions below n, the frequent ones scattered, as words are by hashing."""
    rng = np.random.default_rng(SEED)
    weights = 1 / np.arange(1, n + 1)
    return rng.permutation(n)[rng.choice(n, k, p=weights / weights.sum())]


DUPLICATES = {"none": lambda n, k: distinct_positions(n, k)[0], "few": few_duplicates, "zipf": zipf_positions}


# Samples of linear models


def dense_samples(n, d, dtype="float64"):
    """Rows and labels 0 and 1 of a random linear model."""
    rng = np.random.default_rng(SEED)
    X = rng.standard_normal((n, d), dtype=dtype)
    X /= np.sqrt(d, dtype=dtype)
    return X, (X @ rng.standard_normal(d, dtype=dtype) > 0).astype(dtype)


def csr_samples(n, d, per_row, dtype="float64"):
    """CSR rows with distinct uniform columns, and labels 0 and 1 of a random linear model."""
    rng = np.random.default_rng(SEED)
    columns = (rng.integers(0, d // per_row, (n, per_row)) + np.arange(per_row) * (d // per_row)).astype(np.int32)
    values = rng.standard_normal((n, per_row), dtype=dtype)
    values /= np.sqrt(per_row, dtype=dtype)
    row_ends = np.arange(n + 1, dtype=np.int32) * per_row
    X = scipy.sparse.csr_array((values.ravel(), columns.ravel(), row_ends), shape=(n, d))
    return X, (X @ rng.standard_normal(d, dtype=dtype) > 0).astype(dtype)


def objective_of(loss, X, y, **penalties):
    """An objective by the name of its class. Labels 0 and 1 are labels of every loss but Gamma, which gets 1 and 2."""
    return feature(f"objectives.{loss}")(X, y + 1 if loss == "Gamma" else y, **penalties)


def require_argument(name):
    """Whether minimize of this commit has the argument."""
    if name not in inspect.signature(feature("minimize")).parameters:
        raise NotImplementedError(f"this commit has no minimize({name}=...)")


def epochs_of(objective, method, epochs, batch_size=1, num_threads=1, learning_rate=0.01, arguments=None, **options):
    """Some epochs of a method over a built-in objective; `arguments` are more of those of minimize."""
    feature("FINITE_SUM_METHODS")  # objectives came with them
    options = {"epochs": epochs, "learning_rate": learning_rate, **options}
    x0 = np.zeros(objective.n_parameters, objective.dtype)
    with fastopt.threads(num_threads):
        return fastopt.minimize(
            objective, x0, method=method, batch_size=batch_size, rng=SEED, options=options, **(arguments or {})
        )


# minimize with an objective in Python


def free_iterations(method, iterations, n=100):
    """Iterations of minimize whose objective costs next to nothing."""
    gradient = np.ones(n)
    settings = {"jac": True, "method": method, "rng": SEED, "options": {"maxiter": iterations}}
    feature("minimize")(lambda x: (1.0, gradient), np.zeros(n), **settings)


def loss_and_residual(w, X, y):
    """The mean logistic loss, and its derivative by the margins."""
    z = X @ w
    return np.mean(np.logaddexp(0, z) - y * z), (expit(z) - y) / len(y)


def dense_logistic(w, X, y):
    loss, residual = loss_and_residual(w, X, y)
    return loss, X.T @ residual


def sparse_logistic(w, X, y):
    loss, residual = loss_and_residual(w, X, y)
    return loss, fastopt.RowSparse(X.indices, X.data * np.repeat(residual, np.diff(X.indptr)))


#: What the gradients are -> logistic regression as an objective of minimize.
LOGISTIC = {"dense": dense_logistic, "RowSparse": sparse_logistic}


def minimize_epochs(fun, X, y, batch_size, epochs, method="adagrad"):
    """Some epochs of an objective over batches of samples."""
    settings = {"jac": True, "data": (X, y), "batch_size": batch_size, "rng": SEED, "options": {"epochs": epochs}}
    return feature("minimize")(fun, np.zeros(X.shape[1]), method=method, **settings)
