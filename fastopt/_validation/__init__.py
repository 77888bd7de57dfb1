"""Every check of what users pass in, and every message they get, in one style.

A message names the argument, the constraint, the value it got and, where there is one, the remedy. Nothing
here changes an argument: callers validate first and mutate after.
"""

from . import (
    approximations,
    bounds,
    conversions,
    files,
    gradients,
    groups,
    labels,
    linear_model,
    machine,
    minimize,
    names,
    native,
    objectives,
    optimizers,
    parameters,
    samples,
    saved_results,
    saved_runs,
    scalars,
    sparse_gradients,
    starting_points,
    state_dicts,
    storages,
    text,
)

__all__ = [
    "approximations",
    "bounds",
    "conversions",
    "files",
    "gradients",
    "groups",
    "labels",
    "linear_model",
    "machine",
    "minimize",
    "names",
    "native",
    "objectives",
    "optimizers",
    "parameters",
    "samples",
    "saved_results",
    "saved_runs",
    "scalars",
    "sparse_gradients",
    "starting_points",
    "state_dicts",
    "storages",
    "text",
]
