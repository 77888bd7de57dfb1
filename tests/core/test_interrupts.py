"""Ctrl-C at many moments of loading, saving and stepping: all or nothing, and the optimizer still works."""

import gc
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from cases import OPTIMIZERS
from checkpoints import alone
from helpers import bits

import fastopt
from fastopt import RowSparse, schedules
from fastopt._checkpoint import load, save

MOMENTS = 300

# Between opening a file and the `with` that closes it there is room for Ctrl-C; the garbage collector closes it then.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer with a signal"),
]


@pytest.fixture
def interrupted():
    """A function that does a call again and again, with Ctrl-C later and later, and looks after each."""

    def ctrl_c(number, frame):
        raise KeyboardInterrupt

    def once(call, delay):
        """Whether the call was interrupted."""
        try:
            signal.setitimer(signal.ITIMER_REAL, delay)
            call()
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            return True
        except ValueError as error:  # of zipfile, which cannot close a file whose writer was interrupted
            assert isinstance(error.__context__, KeyboardInterrupt)
            return True
        except SystemError as error:  # of ast, which reads NumPy's headers: python/cpython#106905
            assert "AST constructor recursion depth mismatch" in str(error)
            return True
        return False

    def at_many_moments(call, check, prepare=lambda: None):
        prepare()
        start = time.perf_counter()
        call()
        duration = time.perf_counter() - start
        check()
        delays = np.random.default_rng(0).permutation(np.linspace(1e-6, 1.2 * duration, MOMENTS))
        count = 0
        for delay in delays.tolist():
            prepare()
            count += once(call, delay)
            check()
        gc.collect()
        return count

    before = signal.signal(signal.SIGALRM, ctrl_c)
    yield at_many_moments
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def rate():
    return schedules.warmup(schedules.reduce_on_plateau(0.1, factor=0.5, patience=0), 2)


def pair(cls=fastopt.Adam, **keywords):
    """Two optimizers of one kind in different states: all that loading changes differs."""
    opts = []
    for k in (1, 2):
        opt = cls({"w": np.full((6, 2), float(k)), "b": np.full(3, float(k))}, rate(), weight_decay=0.1 * k, **keywords)
        for _ in range(k):
            opt.step({"w": RowSparse([k, 3], np.full((2, 2), float(k))), "b": np.arange(3.0)})
            opt.learning_rate.update(1.0)
        opts.append(opt)
    return opts


def raw(opt):
    """Counters and bits, without the look at `state` that brings it up to date."""
    arrays = [*opt._flat_params, *(array for slot in opt._slot_arrays for array in slot)]
    return opt.step_count, opt.skipped_steps, [array.tobytes() for array in arrays]


def whole(opt):
    """All that loading changes."""
    last_steps = [None if each is None else each.tolist() for each in opt._last_steps]
    values = {name: value for name, value in opt._values.items() if name != "learning_rate"}
    return values, opt.learning_rate.state_dict(), opt._carry, last_steps, raw(opt)


@pytest.mark.slow
@pytest.mark.parametrize("cls", [fastopt.Adam, fastopt.NAdam, fastopt.RMSprop])
@pytest.mark.parametrize("way", ["state_dict", "file"])
def test_loading(way, cls, path, no_sync, interrupted):
    """One or the other at every moment, never some of each."""
    opt, other = pair(cls, sparse="exact")
    save(path, other)
    first, params, second = opt.state_dict(), [array.copy() for array in opt.params.values()], other.state_dict()
    before, after = whole(opt), whole(other)
    if way == "state_dict":
        after[-1][2][:2] = before[-1][2][:2]  # the parameters are not in it

    def prepare():
        opt.load_state_dict(first)
        for array, start in zip(opt.params.values(), params, strict=True):
            array[...] = start

    def check():
        assert whole(opt) in (before, after)

    call = (lambda: load(path, opt)) if way == "file" else (lambda: opt.load_state_dict(second))
    assert interrupted(call, check, prepare) > 0


class Slow:
    """A schedule with state that takes it over in two steps, between which it may be interrupted."""

    def __init__(self, first, second, error=None):
        self.first, self.second, self.error = first, second, error

    def __call__(self, t):
        return 0.1

    def state_dict(self):
        return {"first": self.first, "second": self.second}

    def load_state_dict(self, state):
        self.first = state["first"]
        error, self.error = self.error, None
        if error is not None:
            raise error
        self.second = state["second"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), ValueError("no")], ids=repr)
def test_schedule_that_is_interrupted_while_it_loads(error, path):
    other = fastopt.Adam(np.zeros(3), Slow(3, 4))
    other.step(np.ones(3))
    save(path, other)
    for call in (lambda opt: opt.load_state_dict(other.state_dict()), lambda opt: load(path, opt)):
        opt = fastopt.Adam(np.zeros(3), Slow(1, 2, error))
        before = bits(opt)
        with pytest.raises(type(error)):
            call(opt)
        assert (bits(opt), opt.learning_rate.state_dict()) == (before, {"first": 1, "second": 2})
        call(opt)
        opt.params[...] = other.params  # they are in the file only
        assert (bits(opt), opt.learning_rate.state_dict()) == (bits(other), {"first": 3, "second": 4})


@pytest.mark.slow
def test_saving(path, no_sync, interrupted):
    """The file is the old one or the new one, and the optimizer can be used again."""
    old, new = pair()
    contents = []
    for opt in (old, new):
        save(path, opt)
        contents.append(Path(path).read_bytes())
    before = whole(new)

    def check():
        assert Path(path).read_bytes() in contents
        new.state_dict()  # would be refused if the optimizer were still claimed

    assert interrupted(lambda: save(path, new), check, lambda: Path(path).write_bytes(contents[0])) > 0
    assert whole(new) == before


@pytest.mark.slow
def test_saving_leaves_no_trace(path, no_sync, interrupted):
    opt, _ = pair()
    save(path, opt)
    assert interrupted(lambda: save(path, opt), lambda: None) > 0
    assert alone(path)


@pytest.mark.slow
@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_stepping(cls, interrupted):
    """After whole steps only: what of a step is Python comes before anything is written."""
    n_steps = 20
    params = {"w": np.ones((6, 2)), "b": np.ones(3)}
    grad = {"w": RowSparse([1, 3], np.ones((2, 2))), "b": np.arange(3.0)}
    opt = cls(params, schedules.cosine_decay(0.1, 50))
    state, start = opt.state_dict(), [array.copy() for array in params.values()]

    def prepare():
        opt.load_state_dict(state)
        for array, value in zip(params.values(), start, strict=True):
            array[...] = value

    def call():
        for _ in range(n_steps):
            opt.step(grad)

    states = [raw(opt)]
    for _ in range(n_steps):
        opt.step(grad)
        states.append(raw(opt))

    def check():
        assert raw(opt) == states[opt.step_count]

    assert interrupted(call, check, prepare) > 0
