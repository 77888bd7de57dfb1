"""Checkpoints of runs and of optimizers: files without pickle that are read as they were written, or not at all."""

from .files import CheckpointError, read, write
from .optimizers import load, save

__all__ = ["CheckpointError", "load", "read", "save", "write"]
