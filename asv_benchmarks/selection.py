"""Choosing cases on the command line."""

import fnmatch


def selected(names, patterns):
    """The names that a pattern matches as a whole or in one of their parts: adam, dense/*, 1000000, dense/adam/100."""
    if not patterns:
        return list(names)
    return [
        name
        for name in names
        if any(fnmatch.fnmatchcase(part, pattern) for pattern in patterns for part in (name, *name.split("/")))
    ]
