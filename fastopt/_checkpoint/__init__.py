"""Checkpoints of runs and of optimizers: files without pickle; a damaged file is never read in part."""

from .files import CheckpointError, contents_of, read, write
from .optimizers import load, save
from .results import load_result

__all__ = ["CheckpointError", "contents_of", "load", "load_result", "read", "save", "write"]
