"""The schedules of fastopt.schedules as trees of plain values: their names and parameters."""

from .. import schedules
from .._validation import saved_results, saved_runs

CLASSES = {name: getattr(schedules, name) for name in schedules.__all__}


def tree_of(rate):
    """A learning rate as a tree; None for one that is a number, or any other function, whose code is not saved."""
    if type(rate) not in CLASSES.values():
        return None
    parameters = {name: getattr(rate, name) for name in rate._names}
    for name, value in parameters.items():
        if callable(value):  # the schedule that a warm-up leads to
            parameters[name] = tree_of(value)
            if parameters[name] is None:
                return None
    return {"class": type(rate).__name__, "parameters": parameters}


def check(name, tree):
    """The schedule of a tree; None of None."""
    if tree is None:
        return None
    saved = saved_runs.record({"class": saved_runs.one_of(CLASSES), "parameters": saved_runs.a_dict})(name, tree)
    cls, parameters = CLASSES[saved["class"]], saved["parameters"]
    saved_runs.entries(f"{name}['parameters']", parameters, cls._names)
    return saved_results.made(
        name, cls, {key: check(name, value) if isinstance(value, dict) else value for key, value in parameters.items()}
    )
