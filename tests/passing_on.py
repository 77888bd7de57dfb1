"""Shared by the tests of what is handed from process to process: objects of all kinds, and what they do next."""

import numpy as np
import scipy.optimize
import scipy.sparse
from cases import OPTIMIZERS
from objectives import bowl
from scipy.optimize import OptimizeResult

import fastopt
from fastopt import minimize, objectives, schedules
from fastopt.objectives._base import Objective

SHAPES = {"w": (40, 5), "v": (33,)}
STEPS = 10


def draw(k, shapes=SHAPES):
    rng = np.random.default_rng(k)
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def trained(cls, **keywords):
    opt = cls(draw(0), **keywords)
    for k in range(3):
        opt.step(draw(k))
    return opt


def outstanding():
    """Rows of the state are behind."""
    opt = fastopt.RMSprop(draw(0), sparse="exact")
    rng = np.random.default_rng(1)
    for k in range(3):
        opt.step(
            {
                name: fastopt.RowSparse(np.arange(k, 20), rng.standard_normal((20 - k, *shape[1:])))
                for name, shape in SHAPES.items()
            }
        )
    assert all(each is not None for each in opt._last_steps)
    return opt


def in_groups():
    opt = fastopt.Adam([*draw(0).values(), np.float32([1, 2])], amsgrad=True)
    opt.step([*draw(1).values(), np.float32([0.5, 0.25])])
    return opt


def plateau():
    rate = schedules.warmup(schedules.reduce_on_plateau(0.1, factor=0.5, patience=0), 2)
    opt = trained(fastopt.AdamW, learning_rate=rate)
    for loss in (1.0, 1.0, 2.0):
        rate.update(loss)
    return opt


def large():
    """More than joblib and Dask leave in a message."""
    opt = fastopt.NAdam(np.linspace(-1, 1, 200_000))
    opt.step(np.ones(200_000))
    return opt


class Muon(fastopt.Muon):
    """By this name another process finds it here, and so lets it take vectors: see cases.py."""


class Named(fastopt.Adam):
    """A subclass with a signature and an attribute of its own."""

    def __init__(self, name, params):
        super().__init__(params, 0.01)
        self.name = name


def named():
    opt = Named("first", draw(0))
    opt.step(draw(1))
    return opt


def samples(sparse):
    X = scipy.sparse.random_array((50, 20), density=0.3, random_state=np.random.default_rng(0), format="csr")
    return X if sparse else X.toarray()


def objective(loss, sparse, **keywords):
    y = np.arange(50) % (3 if loss is objectives.Softmax else 2)
    return loss(samples(sparse), y, sample_weight=np.arange(1.0, 51.0), fit_intercept=True, **keywords)


def result(method):
    return minimize(
        objective(objectives.Logistic, True, l2=0.1), np.zeros(21), method=method, rng=0, options={"epochs": 2}
    )


OBJECTS = {
    **{name: (lambda cls=cls: trained(cls)) for name, cls in {**OPTIMIZERS, "muon": Muon}.items()},
    "rows outstanding": outstanding,
    "list": in_groups,
    "plateau": plateau,
    "large": large,
    "subclass": named,
    "dense": lambda: objective(objectives.LeastSquares, False),
    "csr": lambda: objective(objectives.Huber, True, l1=0.1),
    "terms": lambda: objective(objectives.Quantile, True, q=0.9, linear=np.arange(21.0), weight_scale=None),
    "softmax": lambda: objective(objectives.Softmax, True, l2=0.1),
    "result of adam": lambda: result("adam"),
    "result of saga": lambda: result("saga"),
    "result of svrg": lambda: result("svrg"),
    "result of a function": lambda: minimize(bowl, np.zeros(3), jac=True, options={"maxiter": 9}),
    "method": lambda: fastopt.scipy_method("adamw", learning_rate=0.1, maxiter=STEPS),
    "method of a class": lambda: fastopt.scipy_method(fastopt.Lion, maxiter=STEPS, rng=3),
    "schedules": lambda: [
        schedules.one_cycle(1.0, 20),
        schedules.piecewise_constant([4], [0.1, 3.0]),
        schedules.warmup(schedules.cosine_decay(0.1, 10), 3),
    ],
}


def next_ten(each):
    """What an object does in the next ten steps, to the last bit."""
    if isinstance(each, fastopt.Optimizer):
        return next_steps(each)
    if isinstance(each, Objective):
        points = np.random.default_rng(3).standard_normal((STEPS, each.n_parameters))
        values = [
            (*each.value_and_gradient(x), each(x, np.arange(9)), each.decision_function(x).ravel()) for x in points
        ]
        return repr(each), [np.hstack(value).tobytes() for value in values]
    if isinstance(each, OptimizeResult):
        history = {name: array.tobytes() for name, array in each.history.items() if name != "time"}
        rest = each.x.tobytes(), each.fun, each.jac.tobytes(), each.message, history
        return rest, next_ten(each.optimizer) if isinstance(each.optimizer, fastopt.Optimizer) else repr(each.optimizer)
    if isinstance(each, list):
        return [(repr(rate), [rate(t) for t in range(STEPS)]) for rate in each]
    found = scipy.optimize.minimize(bowl, np.zeros(3), jac=True, method=each)
    return repr(each), found.x.tobytes(), found.nit


def next_steps(opt):
    """Afterwards `params` and `state` are those that the steps went to."""
    for k in range(STEPS):
        rng = np.random.default_rng(k)
        given = opt.params
        if isinstance(given, np.ndarray):
            opt.step(rng.standard_normal(given.shape))
        elif isinstance(given, list):
            opt.step([rng.standard_normal(each.shape).astype(each.dtype) for each in given])
        else:
            opt.step({name: rng.standard_normal(each.shape) for name, each in given.items()})
    arrays = [*opt._flat_params, *(array for slot in opt._slot_arrays for array in slot)]
    return repr(opt), getattr(opt, "name", None), [array.tobytes() for array in arrays]
