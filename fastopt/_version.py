"""The version, read from the installed metadata, where pyproject.toml put it."""

from importlib.metadata import version

__version__ = version("fastopt")
