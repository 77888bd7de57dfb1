"""Checkpoints of a run: what is in them, how that is checked, and how a run goes on from one."""

import math
import os

from .. import _checkpoint
from .._validation import checkpoint_paths, saved_runs
from .._validation.scalars import flag
from . import stopping
from .early_stopping import EarlyStopping

#: Names of fields in checkpoints of versions before 0.2 -> present names.
FORMER_NAMES = {"stretches": "segments"}

#: Fields that checkpoints of versions before 0.2 lack -> what stands for them.
ADDED = {"early_stopping": None, "start": None}


def state_of_file(path):
    """What is another if a file has been replaced or written to; None if there is no file."""
    try:
        file = os.stat(path)
    except OSError:
        return None
    return file.st_ino, file.st_size, file.st_mtime_ns


class SavedRun:
    """The part of a run that writes and reads its checkpoints: all that changes, in the attributes of `Run`."""

    def save(self):
        """Write a checkpoint, if one is wanted; not when parameters have overflowed: an earlier one is of more use."""
        path = self.settings.checkpoint
        if path is None:
            return
        with self.ranks.each():
            snapshot = self.snapshot()
            if self.ranks.is_first:
                self.write(path, {"identity": self.identity, "run": snapshot})
        self.saved_nit = self.nit

    def write(self, path, tree):
        """Replace the checkpoint."""
        mine, self.saved_file = self.saved_file, None  # not known again before the new one is there
        if mine is not None and state_of_file(path) not in (mine, None):
            checkpoint_paths.warn_shared(path)
        _checkpoint.write(path, "minimize", tree)
        self.saved_file = state_of_file(path)

    def snapshot(self):
        """All that changes during a run, as a tree of plain values and arrays."""
        names = ("evaluate", "average", "watch", "early_stopping", "history", "start")
        parts = {name: getattr(self, name) for name in names}
        return {
            "x": self.x,
            "optimizer": self.optimizer._snapshot(),
            "rng": self.rng.bit_generator.state,
            "batches": self.batches.snapshot(),
            "rate_and_norm": self.rate_and_norm() if self.in_epoch else [math.nan, math.nan],
            **{name: None if part is None else part.snapshot() for name, part in parts.items()},
            **{name: getattr(self, name) for name in self.PLAIN},
        }

    PLAIN = ("nit", "nepoch", "in_epoch", "loss_sum", "weight_sum", "last_value", "best_loss", "best_x", "finite_x")

    def schema(self, done):
        """The check of a snapshot, in a run that had come so far: field -> check."""
        any_number = saved_runs.number_or_nan()
        finite_like_x = saved_runs.array(self.x.dtype, self.x.shape, "(-inf, inf)")
        average = saved_runs.nothing if self.average is None else self.average.schema(done)
        return {
            "x": finite_like_x,
            "optimizer": self.optimizer_schema(done),
            "rng": saved_runs.generator_state(self.rng.bit_generator),
            "batches": self.batches.schema(),
            "rate_and_norm": saved_runs.pair(
                saved_runs.number_or_nan("[0, inf)"), saved_runs.number_or_nan("[0, inf]")
            ),
            "evaluate": self.evaluate.schema(done),
            "average": average,
            "watch": stopping.LossWatch.schema(done),
            "early_stopping": saved_runs.optional(EarlyStopping.schema(done)),
            "history": self.history.schema(done, self.batches.per_epoch),
            "start": self.start.schema(done),
            "nit": saved_runs.count(),
            "nepoch": saved_runs.count(),
            "in_epoch": flag,
            "loss_sum": any_number if done.in_this_epoch else saved_runs.number("[0, 0]"),
            "weight_sum": self.weight_schema(done),
            "last_value": any_number,
            "best_loss": saved_runs.number(),
            "best_x": saved_runs.optional(finite_like_x),
            "finite_x": saved_runs.array(self.x.dtype, self.x.shape),
        }

    def optimizer_schema(self, done):
        """The check of the state of the optimizer; load_state_dict sees to it, the first that changes anything."""
        return saved_runs.a_dict

    def weight_schema(self, done):
        """The check of the weight of the iterations of the present epoch."""
        weight = self.batches.samples_before(done.in_this_epoch)
        return saved_runs.number("[0, inf)" if weight is None else f"[{weight}, {weight}]")

    def restore(self, saved):
        """Go on from a snapshot of the same run; if anything in it is wrong, raise and change nothing."""
        done = saved_runs.done(saved, self.batches.per_epoch)
        checks = self.schema(done)
        if "start" not in saved:  # in files of versions before 0.2
            watch = saved_runs.optional(saved_runs.a_dict)("run['watch']", saved.get("watch"))
            saved = {**ADDED, **saved, "watch": stopping.LossWatch.of_former_version(watch)}
            checks["start"] = saved_runs.nothing
        saved = saved_runs.record(checks, FORMER_NAMES)("run", saved)
        saved_runs.best_so_far(saved["best_x"], saved["best_loss"])
        if not self.history.is_like(saved["history"]):  # the best so far is by another loss than this run's
            saved |= {"early_stopping": None, "best_x": None, "best_loss": math.inf}
        self.optimizer.load_state_dict(saved["optimizer"])
        for name in ("evaluate", "average", "watch", "early_stopping", "history", "start"):
            if saved[name] is not None and getattr(self, name) is not None:
                getattr(self, name).restore(saved[name])
        for name in self.PLAIN:
            setattr(self, name, saved[name])
        self.params.assign(saved["x"])
        if saved["start"] is None and self.nit > 0:
            self.start.x = None
            self.start.value = (self.history.columns["fun"] or [self.epoch_loss()])[0]  # the nearest that is known
        self.earlier_rate_and_norm = saved["rate_and_norm"]
        self.batches.restore(saved["batches"], done)
        self.rng.bit_generator.state = saved["rng"]
