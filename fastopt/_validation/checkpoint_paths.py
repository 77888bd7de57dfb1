"""Checks of where a run saves its checkpoints, and resumes from."""

import os

from .minimize import warn_caller
from .text import shown


def checkpoint_path(option, value):
    """Return a path as a string; its folder must exist."""
    name = path(option, value)
    if not name or os.path.isdir(name):
        raise ValueError(f"`{option}` must be a file, got {shown(name)}.")
    if not os.path.isdir(os.path.dirname(name) or "."):
        raise FileNotFoundError(f"`{option}` must be a file in a folder that exists, got {shown(name)}.")
    return name


def path(name, value):
    """Return a path as a string."""
    try:
        return os.fsdecode(value)
    except TypeError:
        raise TypeError(f"`{name}` must be a path, got {shown(value)}.") from None


def warn_shared(path):
    """Warn of a checkpoint that something else has written since the run wrote it."""
    warn_caller(
        f"`checkpoint` must be a path of the run's own: something else has written {shown(path)} since the run did, "
        "such as another run in another process, and a resumed run is the one that wrote last.",
        RuntimeWarning,
    )
