"""Kill runs that write checkpoints, at random moments, with the signal that nothing can catch; then resume them.

    python tests/kill_checkpoints.py [number of kills] [seed]

Whatever the moment, the checkpoint is absent or whole, and the run resumed from it ends with the bits of one that was
never stopped. Each run is killed, resumed by another process, and that one killed as well.
"""

import collections
import os
import random
import subprocess
import sys
import tempfile
import time

import numpy as np
import scipy.sparse
from objectives import outcome

import fastopt
from fastopt import CheckpointError, _checkpoint, minimize, objectives, schedules

FOREVER = 10**9
LONGEST_WAIT = 0.1  # seconds; some dozens of checkpoints
MORE = 7  # iterations that a resumed run goes on for: two epochs and a part


def noisy_bowl(x, centre):
    """Large enough that a good part of the time goes into writing the file."""
    away = x - centre.mean(0)
    return float(away @ away) / 2, away


def python_function():
    centres = np.random.default_rng(0).standard_normal((9, 30_000))
    return dict(fun=noisy_bowl, x0=np.zeros(30_000), jac=True, data=(centres,), batch_size=3), "adamw"


def rows():
    rng = np.random.default_rng(1)
    at = np.repeat(np.arange(300), 200), rng.integers(0, 20_000, 60_000)
    X = scipy.sparse.csr_array((rng.random(60_000), at), shape=(300, 20_000))
    return X, rng.integers(0, 2, 300)


def compiled_epochs():
    X, y = rows()
    objective = objectives.Logistic(X, y, l2=1e-3)
    return dict(fun=objective, x0=np.zeros(20_000), batch_size=100), "adagrad"


def saga():
    X, y = rows()
    return dict(fun=objectives.Logistic(X, y, l2=1e-3), x0=np.zeros(20_000)), "saga"


PROBLEMS = {each.__name__: each for each in (python_function, compiled_epochs, saga)}


def run(problem, maxiter, checkpoint=None, resume=None):
    arguments, method = PROBLEMS[problem]()
    options = {"maxiter": maxiter, "checkpoint": checkpoint}
    if method != "saga":
        options |= {"learning_rate": schedules.inverse_time_decay(0.05, 100, 1.0), "average": "polyak"}
    rng = 3 if resume is None else 99  # the generator of the checkpoint is what counts
    return minimize(method=method, rng=rng, options=options, resume=resume, **arguments)


def killed(problem, path, wait, at_first):
    """Run in another process, from the checkpoint if there is one, and kill it after a time.

    It counts from the beginning of the run if `at_first` is true, else from the next checkpoint.
    """
    before = state_of(path)
    command = [sys.executable, __file__, "--run", problem, path]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"begins\n"
            while not at_first and state_of(path) == before and process.poll() is None:
                time.sleep(0.001)
            time.sleep(wait)
            assert process.poll() is None, "the run ended by itself"
        finally:
            process.kill()


def state_of(path):
    """What changes when a file is replaced; None if there is none."""
    return os.stat(path).st_ino if os.path.exists(path) else None


def done(path):
    """Iterations in a checkpoint; None if there is none yet."""
    try:
        return _checkpoint.read(path, "minimize")["run"]["nit"]
    except FileNotFoundError:
        return None


def survive(n_kills, seed=0):
    """Kill as often as asked for, two times a run; returns what was seen, and raises if a run does not survive."""
    draw, seen = random.Random(seed), collections.Counter()
    for k in range(n_kills // 2):
        problem = list(PROBLEMS)[k % len(PROBLEMS)]
        with tempfile.TemporaryDirectory() as folder:
            path, before = os.path.join(folder, "run.npz"), 0
            for _ in range(2):
                killed(problem, path, draw.uniform(0, LONGEST_WAIT), at_first=draw.random() < 0.2)
                seen["kills"] += 1
                seen["in the middle of writing"] += any(name.endswith(".tmp") for name in os.listdir(folder))
                # A save removes what earlier ones left: there is at most what this kill did.
                assert sum(name.endswith(".tmp") for name in os.listdir(folder)) <= 1, os.listdir(folder)
                nit = done(path)
                seen["before the first checkpoint"] += nit is None
                assert (nit or 0) >= before, (problem, nit, before)
                before = nit or 0
            seen["iterations"] += before
            resumed = run(problem, before + MORE, resume=path if before else None)
            assert outcome(resumed) == outcome(run(problem, before + MORE)), (problem, before)
            seen["runs with the same bits"] += 1
    return seen


def main(arguments):
    if arguments[:1] == ["--run"]:
        _, problem, path = arguments
        print("begins", flush=True)
        run(problem, FOREVER, checkpoint=path, resume=path if os.path.exists(path) else None)
        return
    n_kills, seed = (int(given) for given in [*arguments, *["100", "0"][len(arguments) :]])
    try:
        seen = survive(n_kills, seed)
    except CheckpointError as error:
        sys.exit(f"a checkpoint did not survive: {error}")
    print(f"fastopt {fastopt.__version__}:", ", ".join(f"{name}: {count}" for name, count in seen.items()))


if __name__ == "__main__":
    main(sys.argv[1:])
