"""What a run reports: history, callback, progress bar and the lines of `disp`."""

import inspect
import math
import time

import numpy as np

from .._validation import minimize as validation
from .._validation import saved_runs
from .stopping import CALLBACK, Stop

HISTORY = {"iteration": np.int64, "epoch": np.int64, "fun": float, "learning_rate": float, "grad_norm": float,
           "time": float}  # fmt: skip
SHOWN = {
    "nit": "Iterations",
    "nepoch": "Epochs",
    "nfev": "Function evaluations",
    "njev": "Gradient evaluations",
}


class History:
    """One entry per epoch; the time of an earlier, interrupted part of the run counts."""

    def __init__(self):
        self.columns = {name: [] for name in HISTORY}
        self.earlier, self.start = 0.0, time.perf_counter()

    def add(self, *entry):
        """Everything but the time, in the order of the columns."""
        for column, value in zip(self.columns.values(), (*entry, self.seconds()), strict=True):
            column.append(value)

    def seconds(self):
        return self.earlier + time.perf_counter() - self.start

    def arrays(self):
        return {name: np.array(column, HISTORY[name]) for name, column in self.columns.items()}

    def snapshot(self):
        return {"columns": self.arrays(), "seconds": self.seconds()}

    @staticmethod
    def schema(done, per_epoch):
        """The check of a snapshot, in a run that had come so far."""
        epochs = np.arange(1, done.nepoch + 1, dtype=np.int64)
        known = {"iteration": epochs * per_epoch, "epoch": epochs}
        columns = {
            name: saved_runs.equal_to(known[name]) if name in known else saved_runs.array(dtype, (done.nepoch,))
            for name, dtype in HISTORY.items()
        }
        columns["time"] = saved_runs.array(HISTORY["time"], (done.nepoch,), "[0, inf)")
        return saved_runs.record({"columns": saved_runs.record(columns), "seconds": saved_runs.number("[0, inf)")})

    def restore(self, saved):
        self.columns = {name: saved["columns"][name].tolist() for name in HISTORY}
        self.earlier, self.start = saved["seconds"], time.perf_counter()


def callback_of(callback, params):
    """The user's callback as a function of an intermediate OptimizeResult; None if there is none.

    As in SciPy: one whose only parameter is called `intermediate_result` is given the result, any other a copy
    of x, in the structure of the parameters; StopIteration ends the run.
    """
    if callback is None:
        return None
    from scipy.optimize import OptimizeResult

    validation.function("callback", callback)
    try:
        wants_result = set(inspect.signature(callback).parameters) == {"intermediate_result"}
    except (TypeError, ValueError):  # a builtin without a signature
        wants_result = False

    def call(x, fun, nit, nepoch):
        x = params.structured(x.copy())
        try:
            if wants_result:
                callback(intermediate_result=OptimizeResult(x=x, fun=fun, nit=nit, nepoch=nepoch))
            else:
                callback(x)
        except StopIteration:
            raise Stop(CALLBACK) from None

    return call


def gradient_norm(gradient):
    """Euclidean norm, of a list or dict over all of it; duplicates in a sparse gradient count one by one."""
    if hasattr(gradient, "tocoo"):
        values = gradient.tocoo().data
    elif isinstance(gradient, (dict, list)):
        return math.hypot(*map(gradient_norm, gradient.values() if isinstance(gradient, dict) else gradient))
    else:
        values = getattr(gradient, "rows", gradient)  # of a RowSparse
    with np.errstate(over="ignore"):
        norm = float(np.linalg.norm(np.ravel(values)))
    largest = float(np.abs(values).max()) if norm == np.inf else np.inf
    return largest * float(np.linalg.norm(np.ravel(values) / largest)) if largest < np.inf else norm


class Progress:
    """A tqdm bar over iterations."""

    def __init__(self, total, done):
        try:
            from tqdm import tqdm
        except ImportError as error:
            raise ImportError(
                '`progress` needs tqdm, which is not installed; pip install "fastopt[progress]".'
            ) from error
        self.bar = tqdm(total=total, initial=done, unit="it")

    def advance(self):
        self.bar.update()

    def epoch(self, loss):
        self.bar.set_postfix(fun=f"{loss:.6g}", refresh=False)

    def close(self):
        self.bar.close()


def show(result):
    """The lines that SciPy prints for ``disp``."""
    print(result.message)
    print(f"         Current function value: {result.fun:f}")
    for name, label in SHOWN.items():
        print(f"         {label}: {result[name]:d}")
