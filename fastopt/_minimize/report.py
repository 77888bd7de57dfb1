"""What a run reports: history, progress bar and the lines of `disp`."""

import math
import time

import numpy as np

from .._validation import saved_runs
from .._validation.saved_results import HISTORY

VALIDATION = {"validation": float}
SHOWN = {
    "nit": "Iterations",
    "nepoch": "Epochs",
    "nfev": "Function evaluations",
    "njev": "Gradient evaluations",
}


class History:
    """One entry per epoch; the time of an earlier, interrupted part of the run counts.

    A run with a validation loss has a column of it, in which epochs of an earlier part without it are NaN.
    """

    def __init__(self, validated):
        self.dtypes = HISTORY | VALIDATION if validated else HISTORY
        self.columns = {name: [] for name in self.dtypes}
        self.earlier, self.start = 0.0, time.perf_counter()

    def add(self, **entry):
        """What there is no column of is left out."""
        for name, column in self.columns.items():
            column.append(entry[name])

    def last(self):
        """The entries of the last epoch, by column."""
        return {name: column[-1] for name, column in self.columns.items()}

    def iterations(self):
        """The number of iterations of the epochs that are complete."""
        return self.columns["iteration"][-1] if self.columns["iteration"] else 0

    def latest_loss(self):
        """The mean loss of the last epoch that has an entry, NaN before the first."""
        return self.columns["fun"][-1] if self.columns["fun"] else math.nan

    def seconds(self):
        return self.earlier + time.perf_counter() - self.start

    def arrays(self):
        return {name: np.array(column, self.dtypes[name]) for name, column in self.columns.items()}

    def snapshot(self):
        return {"columns": self.arrays(), "seconds": self.seconds()}

    @staticmethod
    def schema(done, per_epoch):
        """The check of a snapshot, in a run that had come so far."""
        epochs = np.arange(1, done.nepoch + 1, dtype=np.int64)
        known = {"epoch": epochs} if per_epoch is None else {"iteration": epochs * per_epoch, "epoch": epochs}
        columns = {
            name: saved_runs.equal_to(known[name]) if name in known else saved_runs.array(dtype, (done.nepoch,))
            for name, dtype in HISTORY.items()
        }
        columns["time"] = saved_runs.array(HISTORY["time"], (done.nepoch,), "[0, inf)")
        validated = {name: saved_runs.array(dtype, (done.nepoch,)) for name, dtype in VALIDATION.items()}
        return saved_runs.record(
            {"columns": saved_runs.record(columns, optional=validated), "seconds": saved_runs.number("[0, inf)")}
        )

    def is_like(self, saved):
        """Whether a snapshot is of a run with a validation loss if this is one, and without otherwise."""
        return saved["columns"].keys() == self.columns.keys()

    def restore(self, saved):
        unknown = np.full(len(saved["columns"]["epoch"]), np.nan)
        self.columns = {name: saved["columns"].get(name, unknown).tolist() for name in self.columns}
        self.earlier, self.start = saved["seconds"], time.perf_counter()


def gradient_norm(gradient):
    """Euclidean norm, of a list or dict over all of it; duplicates in a sparse gradient count one by one."""
    if gradient is None:
        return 0.0
    if hasattr(gradient, "tocoo"):
        values = gradient.tocoo().data
    elif isinstance(gradient, (dict, list)):
        return math.hypot(*map(gradient_norm, gradient.values() if isinstance(gradient, dict) else gradient))
    else:
        values = getattr(gradient, "rows", gradient)  # of a RowSparse
    values = np.ravel(values)
    with np.errstate(over="ignore"):
        norm = math.sqrt(values.dot(values))
    largest = float(np.abs(values).max()) if norm == math.inf else math.inf
    return largest * gradient_norm(values / largest) if largest < math.inf else norm


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
