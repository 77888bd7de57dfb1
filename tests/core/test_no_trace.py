"""A refused call leaves no trace: for every message, optimizer, sparse mode, and array of a list.

Beside the optimizer that refuses there is a twin that never saw the call. Both have the same state dictionary and
attributes after it, and the same bits after more steps, of dense and of sparse gradients.
"""

import ast
import copy
import functools
import inspect
import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from cases import MODES, OPTIMIZERS, is_refused
from refusals import CALLS, CONSTRUCTIONS, SHAPE, STEPS, valid_gradients

from fastopt import _validation

REFUSALS = STEPS | CALLS
MODULES = (
    _validation.gradients,
    _validation.groups,
    _validation.optimizers,
    _validation.parameters,
    _validation.scalars,
    _validation.sparse_gradients,
    _validation.state_dicts,
)
# Functions whose messages no call on an optimizer leads to, nor the making of one.
ELSEWHERE = {
    ("optimizers", "no_alias"): "classes of users, in test_validation_hyperparameters.py",
    ("optimizers", "optimizer_name"): "names, as `get_optimizer` and `minimize` take them",
    ("optimizers", "refuse_finite_sum_assignment"): "the optimizers in results of SAGA and SVRG",
    ("sparse_gradients", "row_values"): "the making of a RowSparse",
    ("sparse_gradients", "_refuse_masked"): "the making of a RowSparse",
    ("sparse_gradients", "refuse_batch"): "the batches of `minimize`",
    ("sparse_gradients", "refuse_negative_index"): "a RowSparse on its own",
    ("state_dicts", "refuse_slots"): "hyper-parameters that have come past `same_slots`",
}


def step(opt, grads):
    opt.step(opt._structured(tuple(grads)))


def step_sparse(opt):
    step(opt, valid_gradients(opt))


def step_dense(opt):
    step(opt, [np.full(param.shape, -0.25) for param in opt._flat_params])


def step_both(opt):
    step(opt, valid_gradients(opt, at=1))


def load_sparse(opt):
    """The state of another optimizer, over which no step of this one has been planned yet."""
    other = copy.deepcopy(opt)
    step_dense(other)
    step_sparse(other)
    opt.load_state_dict(other.state_dict())


# What has been done with an optimizer before it refuses -> more hyper-parameters, and the calls.
HISTORIES = {
    "new": ({}, ()),
    "stepped": ({"clip_norm": 1.0}, (step_dense, step_sparse)),
    "stepped densely": ({}, (step_sparse, step_dense)),
    "loaded": ({}, (load_sparse,)),
}


def bytes_of(value):
    """Equal exactly for values that are equal to the last bit, in dicts and lists of arrays, too."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return {key: bytes_of(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [bytes_of(each) for each in value]
    return repr(value)


def trace(opt):
    """All that can be seen of an optimizer; deferred rows catch up for the state dictionary, which has lazy steps."""
    saved = opt.state_dict()
    return bytes_of([repr(opt), opt.last_grad_norm, opt._last_rate, opt._values, saved, opt._flat_params])


def refuse(refusal, opt, at, folder):
    """The exception of a call, which must be refused."""
    try:
        refusal.call(opt, at, folder)
    except (TypeError, ValueError, LookupError, AttributeError, RuntimeError, FloatingPointError, OSError) as error:
        return error
    pytest.fail("was not refused")


def classes(refusal, mode):
    found = [OPTIMIZERS[name] for name in refusal.only or OPTIMIZERS]
    return [cls for cls in found if not is_refused(cls, refusal.keywords() | {"sparse": mode})]


def prepared(cls, shapes, named, keywords, mode, history, lasts):
    """An optimizer that is about to refuse."""
    more, calls = HISTORIES[history]
    params = [np.arange(1.0, 1.0 + math.prod(shape)).reshape(shape).copy() for shape in shapes]
    opt = cls(dict(zip("abc", params, strict=True)) if named else params, sparse=mode, **more, **keywords())
    for call in calls:
        call(opt)
    if lasts:
        opt.catch_up()  # afterwards rows could not, and state_dict() would be refused
    return opt


def future(opt, lasts):
    """What can be seen of an optimizer from now on; only its state, if what refuses it `lasts`."""
    if lasts:
        return [bytes_of(opt.state_dict())]
    seen = [trace(opt)]
    for call in (step_dense, step_both, step_sparse):
        seen.append(bytes_of(opt.state))  # brings lagged state up to date
        call(opt)
        seen.append(trace(opt))
    return seen


def arguments(refusal, at, mode, history="stepped"):
    """What `prepared` takes after the class."""
    shapes = [(5,), SHAPE]
    shapes.insert(at, refusal.shape)
    return tuple(shapes), refusal.named, refusal.keywords, mode, history, refusal.lasts


@functools.cache
def future_of_twin(cls, lasts, *arguments):
    """That of an optimizer with the same past which refused nothing."""
    return future(prepared(cls, *arguments), lasts)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", REFUSALS)
def test_refused_calls_leave_no_trace(name, mode, tmp_path):
    refusal = REFUSALS[name]
    for cls in classes(refusal, mode):
        for at in range(3) if name in STEPS else [1]:
            for history in HISTORIES:
                past = arguments(refusal, at, mode, history)
                opt = prepared(cls, *past)
                refuse(refusal, opt, at, tmp_path)
                twin = future_of_twin(cls, refusal.lasts, *past)
                assert future(opt, refusal.lasts) == twin, (cls.__name__, at, history)


def memory_of_arrays():
    """Bytes in the arrays that have been made since tracing began; objects of Python are counted by test_leaks.py."""
    arrays = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([arrays]).traces)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", REFUSALS)
def test_refused_calls_keep_no_memory(name, mode, tmp_path):
    """Not even scratch memory, of an optimizer that has it from the steps before."""
    refusal, at = REFUSALS[name], 1 if name in CALLS else 2
    for cls in classes(refusal, mode):
        opt = prepared(cls, *arguments(refusal, at, mode))
        refuse(refusal, opt, at, tmp_path)
        tracemalloc.start()
        try:
            for _ in range(2):
                refuse(refusal, opt, at, tmp_path)
            assert memory_of_arrays() == 0, cls.__name__
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("name", CONSTRUCTIONS)
def test_parameters_stay_when_no_optimizer_is_made(name):
    params = [np.linspace(1.0, 2.0, 24).reshape(SHAPE) for _ in range(3)]
    before = bytes_of(params)
    with pytest.raises((TypeError, ValueError)):
        CONSTRUCTIONS[name](list(params))
    assert bytes_of(params) == before


def sites():
    """Every `raise` of the modules: (module, function, line of the statement)."""
    found = set()
    for module in MODULES:
        for function in ast.parse(Path(module.__file__).read_text()).body:
            if isinstance(function, ast.FunctionDef):
                name = module.__name__.rpartition(".")[2], function.name
                found |= {(*name, each.lineno) for each in ast.walk(function) if isinstance(each, ast.Raise)}
    return found


def raised_at(error):
    """Where an exception, and those that it was made of, were raised in _validation."""
    while error is not None:
        traceback = error.__traceback__
        frames = [] if traceback is None else inspect.getinnerframes(traceback)
        inside = [frame for frame in frames if Path(frame.filename).parent == Path(_validation.__file__).parent]
        if inside:
            yield Path(inside[-1].filename).stem, inside[-1].function, inside[-1].lineno
        error = error.__cause__


def test_every_message_has_its_row(tmp_path):
    """What is raised in _validation, and by no row of the tables, belongs to other calls."""
    reached = set()
    for refusal in REFUSALS.values():
        for cls in classes(refusal, "lazy"):
            opt = prepared(cls, *arguments(refusal, 1, "lazy", "new"))
            reached |= set(raised_at(refuse(refusal, opt, 1, tmp_path)))
    for build in CONSTRUCTIONS.values():
        with pytest.raises((TypeError, ValueError)) as caught:
            build([np.linspace(1.0, 2.0, 24).reshape(SHAPE) for _ in range(3)])
        reached |= set(raised_at(caught.value))
    missing = sites() - reached
    assert {site for site in missing if site[:2] not in ELSEWHERE} == set()
    assert {site[:2] for site in reached} & set(ELSEWHERE) == set()
