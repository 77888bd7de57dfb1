"""The intermediate results that callbacks are given: OptimizeResults whose entries may be computed when they are read.

This module imports scipy.optimize, so it is imported when a run has a callback.
"""

from scipy.optimize import OptimizeResult


class Later:
    """Stands for an entry until that is read: `compute` gives it."""

    def __init__(self, compute):
        self.compute = compute


class IntermediateResult(OptimizeResult):
    """An OptimizeResult in which some entries are `Later`.

    One entry is computed when it is read, by attribute or by key; what looks at all entries computes them all, after
    which the object is an OptimizeResult and nothing else.
    """

    def __getitem__(self, key):
        value = super().__getitem__(key)
        if isinstance(value, Later):
            value = self[key] = value.compute()
        return value

    def get(self, key, default=None):
        """As of a dict."""
        return self[key] if key in self else default


def settled(result):
    """Compute what is still missing; returns the result, which is a plain OptimizeResult then."""
    for key in result.keys():
        result[key]
    object.__setattr__(result, "__class__", OptimizeResult)  # whose own __setattr__ makes entries
    return result


def _of_all_entries(name):
    def method(self, *arguments):
        return getattr(settled(self), name)(*arguments)

    method.__name__ = name
    method.__doc__ = "As of a dict."
    return method


# What reads entries without `__getitem__`. With `__iter__` among them, dict(result) and **result do not do so either.
for _name in ("__eq__", "__iter__", "__ne__", "__reduce_ex__", "items", "pop", "popitem", "setdefault", "values"):
    setattr(IntermediateResult, _name, _of_all_entries(_name))
