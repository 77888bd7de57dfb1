"""The kinds of sequences: which objects, and what the hostile actor does to them."""

import deeds
from calls import bits, uninitialised
from deeds import Actor
from files import forged, passing_on
from finite_sums import FiniteSumWorld
from functions import FunctionWorld
from optimizers import OptimizerWorld
from processes import forks, threads

RETYPING = (deeds.disguise, deeds.resize, deeds.retype, deeds.restride, deeds.reshape)
RESHAPING = (deeds.reshape, deeds.resize, deeds.resize_matrix, deeds.reshape_matrix)
EVERYTHING = tuple(deeds.DEEDS)


def over(*worlds, deeds=(), most_calls=8):
    """A kind of sequence over one of some worlds, given as pairs of a class and its arguments."""

    def run(seq):
        seq.actor = Actor(*deeds) if deeds else None
        world, arguments = seq.rng.choice(worlds)
        world(seq, **arguments).run(seq.rng.randint(3, most_calls))

    return run


REFUSALS, EXACT = {"refused": 0.4, "form": "list"}, {"sparse": "exact", "weight_decay": 0.0}
OPTIMIZERS, FINITE_SUMS, FUNCTIONS = (OptimizerWorld, {}), (FiniteSumWorld, {}), (FunctionWorld, {})

KINDS = {
    # Attributes of an objective, or the arrays of the caller's matrix, are replaced.
    "attributes": over(FINITE_SUMS, deeds=(deeds.assign, deeds.swap_field)),
    # Samples are reshaped or resized, and the objective is copied.
    "copies": over((FiniteSumWorld, {"copying": 0.7}), deeds=RESHAPING),
    # A schedule resizes the parameters, during construction or in a step.
    "schedules": over(
        (OptimizerWorld, {"rules": ["FTRL", "ASGD"], "schedules": 1.0}), (OptimizerWorld, {"schedules": 1.0}),
        deeds=(deeds.resize, deeds.disguise),
    ),
    # Dtype, strides, shape and size change, one after the other.
    "retyping": over(OPTIMIZERS, FINITE_SUMS, deeds=RETYPING),
    # Samples of minimize(data=...) change before or while they are used.
    "batches": over((FunctionWorld, {"kinds": ["csr"]}), deeds=(deeds.swap_field, deeds.resize, deeds.overwrite)),
    # The contents of index arrays change.
    "contents": over(FINITE_SUMS, FINITE_SUMS, FUNCTIONS, OPTIMIZERS, deeds=(deeds.overwrite,)),
    # Subclasses of ndarray and of sparse matrices that lie.
    "liars": over((OptimizerWorld, {"odd": 0.6}), (FiniteSumWorld, {"odd": 0.7}), (FunctionWorld, {"odd": 0.7})),
    # Gradients that run code when they are converted, while other gradients of the list are bound.
    "conversions": over(
        (OptimizerWorld, {"odd": 0.8, "refused": 0.0, "form": "list", "every_step": ["csr", "coo", "dense"]}),
        deeds=(deeds.resize, deeds.retype),
    ),
    # Generators whose permutations are none.
    "generators": over(
        (FiniteSumWorld, {"hostile_rng": 1.0}), (FunctionWorld, {"hostile_rng": 1.0}),
        deeds=(deeds.overwrite, deeds.resize),
    ),
    # The fields of a RowSparse are replaced.
    "row_sparse": over(
        (OptimizerWorld, {"refused": 0.0, "every_step": ["rows"], "schedules": 0.8, "form": "array"}),
        deeds=(deeds.swap_rows,), most_calls=14,
    ),
    # What views of the state are views of.
    "state_views": over(OPTIMIZERS, deeds=(deeds.walk_bases,)),
    "uninitialised": uninitialised,
    "forged": forged,
    # Calls that are refused must change nothing.
    "refusals": over(
        (OptimizerWorld, REFUSALS), (OptimizerWorld, REFUSALS | EXACT | {"every_step": ["rows"]}),
        deeds=(deeds.fail,), most_calls=40,
    ),
    "bits": bits,
    "passing_on": passing_on,
    # All of it at once.
    "mixed": over(
        (OptimizerWorld, {"odd": 0.1, "refused": 0.2}), (FiniteSumWorld, {"odd": 0.1, "hostile_rng": 0.1}),
        (FunctionWorld, {"odd": 0.1, "hostile_rng": 0.1}), deeds=EVERYTHING, most_calls=14,
    ),
    "forks": forks,
    "threads": threads,
}  # fmt: skip

# These change the process, or need one without threads: each sequence has its own, and there are fewer of them.
ALONE = ("forks", "threads")
ALONE_EVERY = 6

TOGETHER = [name for name in KINDS if name not in ALONE]
TURNS = [name for k in range(ALONE_EVERY) for name in (*TOGETHER, *(ALONE if k == 0 else ()))]


def kind_of(seed):
    """The kind of a sequence: they take turns."""
    return TURNS[seed % len(TURNS)]
