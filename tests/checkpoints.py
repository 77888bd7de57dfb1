"""Shared by the tests of checkpoints: a small tree, comparison to the last bit, and why a file is refused."""

import os
import struct

import numpy as np

from fastopt._checkpoint import CheckpointError, read

TREE = {"x": np.array([1.5, np.nan]), "n": [1, None]}


def same(tree, other):
    """Whether two trees have the same types, order of keys and bits; a tuple is as good as a list."""
    if isinstance(tree, tuple):
        tree = list(tree)
    if type(tree) is not type(other):
        return False
    if isinstance(tree, dict):
        return list(tree) == list(other) and same([*tree.values()], [*other.values()])
    if isinstance(tree, list):
        return len(tree) == len(other) and all(same(*pair) for pair in zip(tree, other, strict=True))
    if isinstance(tree, (np.ndarray, np.generic)):
        return (tree.dtype.str, tree.shape, tree.tobytes()) == (other.dtype.str, other.shape, other.tobytes())
    return struct.pack("d", tree) == struct.pack("d", other) if isinstance(tree, float) else tree == other


def wrong(path, kind="test"):
    """The reason why a file is refused, or None and the tree."""
    try:
        return None, read(path, kind)
    except CheckpointError as error:
        assert error.path == path and error.reason in str(error)
        return error.reason, None


def alone(path):
    """Whether a file is the only one in its folder."""
    return os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


def arbitrary(dtype, shape, seed=0):
    """An array of arbitrary bits: signalling NaNs, their payloads, subnormals, -0.0."""
    n = np.empty(shape, dtype).nbytes
    contents = np.random.default_rng(seed).integers(0, 2 if dtype == "|b1" else 256, n, np.uint8)
    return np.frombuffer(contents.tobytes(), dtype).reshape(shape)
