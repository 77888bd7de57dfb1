"""Checkpoints of runs and of optimizers: files without pickle; a damaged file is never read in part."""

from .files import CheckpointError, read, write
from .optimizers import load, save

__all__ = ["CheckpointError", "load", "read", "save", "write"]
