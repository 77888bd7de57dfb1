"""Sequences over what is written and read again: forged checkpoints, and buffers that pickle was handed elsewhere."""

import functools
import os
import pickle
import warnings

import numpy as np
from deeds import arrays_of, fitting_gradient, value_for
from finite_sums import FiniteSumWorld
from optimizers import OptimizerWorld

import fastopt
from fastopt import _checkpoint

LEAVES = [-1, -5, 0, 1, 2**31, -(2**62), 10**30, 1e300, np.nan, np.inf, "x", "", None, True, [], {}, [1], 0.5]


def leaves(tree, at=()):
    """The places in a tree, inner ones included."""
    if at:
        yield at
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from leaves(value, (*at, key))


def forged_array(seq, array):
    flat, rng = array.reshape(-1), seq.rng
    choices = [
        lambda: flat[:1], lambda: flat[:0], lambda: flat[0], lambda: array[None], lambda: array[..., None],
        lambda: np.resize(array, 2 * array.size + 1), lambda: array.astype(rng.choice(["float16", "int8"])),
        lambda: np.full_like(array, rng.choice([-1, 10**6, 2**40, -(2**40)])),
        lambda: array.astype(array.dtype.newbyteorder()),
    ]  # fmt: skip
    try:
        return np.array(rng.choice(choices)())
    except (IndexError, OverflowError):
        return np.zeros(3)


def forge(seq, tree):
    """Change some places of a tree; says which."""
    for _ in range(seq.rng.choice([1, 1, 2])):
        places = list(leaves(tree))
        tops = [place for place in places if len(place) <= 2]
        *path, last = seq.rng.choice(tops if seq.chance(0.5) else places)
        inner = tree
        for key in path:
            inner = inner[key]
        old = inner[last]
        if isinstance(old, np.ndarray) and seq.chance(0.8):
            new = forged_array(seq, old)
        elif type(old) in (int, float) and seq.chance(0.5):
            new = type(old)(seq.rng.choice([-1, -5, 1, old + 1, -old, old * 1000, 2**40]))
        elif isinstance(old, dict) and old and seq.chance(0.3):
            new = {key: value for key, value in old.items() if seq.chance(0.7)}
        else:
            new = seq.rng.choice(LEAVES)
        inner[last] = new
        shown = f"{new.dtype} {new.shape}" if isinstance(new, np.ndarray) else repr(new)[:60]
        seq.write(f"  * the file says {'/'.join(map(str, [*path, last]))} = {shown}")


def forged_runs(seq):
    """Checkpoints of runs that were opened, changed and sealed again; then resumed."""
    world = FiniteSumWorld(seq, most_samples=60)
    if world.objective is None:
        return
    path, rng = os.path.join(seq.folder, "run.npz"), seq.rng
    kind = rng.choice(["built-in", *fastopt.FINITE_SUM_METHODS, "function", "samples"])
    options = {"checkpoint": path, "average": rng.choice([None, "polyak", "ema"]), "return_best": seq.chance(0.5)}
    options |= {"maxiter": rng.choice([1, 5, 30]), "learning_rate": 0.01}
    keywords = {"rng": 0, "tol": rng.choice([None, 1e-3])}
    fun, x0 = world.objective, world.x()
    if kind in fastopt.FINITE_SUM_METHODS:
        keywords |= {"method": kind}
    else:
        keywords |= {"method": rng.choice(list(fastopt.OPTIMIZERS))}
    if kind in ("function", "samples"):
        fun, x0 = lambda x, *batch: float(x @ x), np.full(3, 0.5)
        keywords["jac"] = rng.choice(["spsa", None])
    if kind == "samples":
        keywords |= {"n_samples": 20, "batch_size": 3}
    elif kind == "built-in":
        keywords["batch_size"] = min(3, world.n)

    def run(**more):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return fastopt.minimize(fun, x0, options=options | {"maxiter": 40}, **(keywords | more))

    budget = options.pop("maxiter")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seq.call(f"minimize({kind}, {keywords}, {options})", lambda: fastopt.minimize(
            fun, x0, options=options | {"maxiter": budget}, **keywords))  # fmt: skip
    if not os.path.exists(path):
        return
    intact = _checkpoint.read(path, "minimize")
    for _ in range(8):
        _checkpoint.write(path, "minimize", intact)
        tree = _checkpoint.read(path, "minimize")
        forge(seq, tree)
        _checkpoint.write(path, "minimize", tree)
        result = seq.call("minimize(resume=forged)", lambda: run(resume=path), expected=(ValueError,))
        if result is not None and not sound(result):
            counts = {name: result[name] for name in ("nit", "nepoch", "nfev", "njev")}
            seq.find("wrong", f"a forged file was accepted: {counts}")


def sound(result):
    """Whether a result may be that of a run."""
    counts = [result.nit, result.nepoch, result.nfev, result.njev]
    return all(type(n) is int and n >= 0 for n in counts) and result.nepoch <= result.nit


def forged_optimizers(seq):
    """Saved optimizers, changed in the same way, and state dictionaries."""
    world = OptimizerWorld(seq, refused=0.0, learning_rate=0.1)
    if world.optimizer is None:
        return
    world.step()
    path = os.path.join(seq.folder, "optimizer.npz")
    fastopt.save(path, world.optimizer)
    for _ in range(8):
        fastopt.save(path, world.optimizer)
        tree = _checkpoint.read(path, "optimizer")
        forge(seq, tree)
        _checkpoint.write(path, "optimizer", tree)
        if seq.chance(0.5):
            world.call("load(forged)", lambda: fastopt.load(path, world.optimizer), expected=(ValueError,))
        else:
            world.call("load_state_dict(forged)", lambda tree=tree: world.optimizer.load_state_dict(tree))
        if world.optimizer.step_count < 0:
            seq.find("wrong", "a forged step count was accepted")
        world.step()


def forged(seq):
    """Forged files of both kinds."""
    (forged_runs if seq.chance(0.7) else forged_optimizers)(seq)


# --- pickle ----------------------------------------------------------------------------------------------


def odd_buffer(seq, buffer):
    """The same bytes, as they come out of a memory-mapped file or of a network: read-only, misaligned."""
    raw = buffer.raw()
    offset = seq.rng.choice([0, 1, 4])
    memory = bytearray(len(raw) + offset)
    memory[offset:] = raw
    view = memoryview(memory)[offset:]
    return view.toreadonly() if seq.chance(0.6) else view


def passed_on(seq, thing):
    """What comes out of pickle when the buffers travel apart."""
    buffers = []
    data = pickle.dumps(thing, protocol=5, buffer_callback=buffers.append)
    return pickle.loads(data, buffers=[odd_buffer(seq, buffer) for buffer in buffers])


def passing_on(seq):
    """Optimizers and objectives through pickle with buffers apart: they must work, with the same bits."""
    (optimizer_passed_on if seq.chance(0.5) else objective_passed_on)(seq)


def optimizer_passed_on(seq):
    world = OptimizerWorld(seq, refused=0.0, learning_rate=0.1, nonfinite="propagate")
    if world.optimizer is None:
        return
    world.step()
    twin = seq.call("pickle with buffers apart", lambda: passed_on(seq, world.optimizer), expected=())
    for _ in range(3 if twin is not None else 0):
        grad = fitting_gradient(world.params)
        for optimizer in (world.optimizer, twin):
            seq.call("step(ones)", functools.partial(optimizer.step, grad, *value_for(optimizer)), expected=())
        own, other = ([array.tobytes() for array in arrays_of(each.params)] for each in (world.optimizer, twin))
        if own != other:
            seq.find("wrong", "what was passed on goes on with other bits")


def objective_passed_on(seq):
    world = FiniteSumWorld(seq)
    if world.objective is None:
        return
    twin = seq.call("pickle with buffers apart", lambda: passed_on(seq, world.objective), expected=())
    if twin is None:
        return
    arrays = [twin.X] if isinstance(twin.X, np.ndarray) else [twin.X.data, twin.X.indices, twin.X.indptr]
    if not all(array.flags.aligned for array in [*arrays, *getattr(twin, "_bound", ())]):
        seq.find("wrong", "an objective reads misaligned memory")
    x = np.full(world.length, 0.1, world.dtype)
    own, other = (seq.call("gradient(x)", lambda each=each: each.gradient(x)) for each in (world.objective, twin))
    if own is not None and other is not None and own.tobytes() != other.tobytes():
        seq.find("wrong", "what was passed on gives other bits")
