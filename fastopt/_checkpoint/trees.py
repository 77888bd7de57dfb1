"""Trees of plain values and arrays as JSON and a list of arrays, and back, bit for bit.

What JSON has no word for is an object with one key, which says what it is. So are dicts, for a key of a user's not to
be taken for one.
"""

import json
import math
import struct

import numpy as np

from .._validation.parameters import is_masked

DEEPEST = 64  # levels of a tree; well inside Python's limit of recursion, and no tree without an end gets past it
LARGEST_NUMBER = 2**53  # the readers of JSON agree on integers up to here
DTYPES = {
    text: np.dtype(text)
    for code in "?" + np.typecodes["AllInteger"] + np.typecodes["AllFloat"]
    for text in (np.dtype(code).newbyteorder(order).str for order in "<>")
}


def encode(value, trail, arrays):
    """What a tree is in JSON; its arrays go into `arrays`. `trail` holds the keys that lead to it."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (np.generic, np.ndarray)):
        return _encode_numpy(value, trail, arrays)
    if isinstance(value, int):
        return value if abs(value) <= LARGEST_NUMBER else {"int": hex(value)}
    if isinstance(value, float):  # JSON has the shortest digits, which give the same bits, but no NaN
        return value if math.isfinite(value) else {"float": struct.pack("<d", value).hex()}
    if not isinstance(value, (list, tuple, dict)):
        raise TypeError(
            f"`{_place(trail)}` must be a dict, a list, a number, a string, None or a NumPy array, "
            f"got {type(value).__name__}."
        )
    if len(trail) >= DEEPEST:
        raise ValueError(f"`tree` must have at most {DEEPEST} levels, got more at `{_place(trail)}`.")
    if not isinstance(value, dict):
        return [encode(item, (*trail, k), arrays) for k, item in enumerate(value)]
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"`{_place(trail)}` must have strings as keys, got {key!r}.")
    return {"dict": {key: encode(item, (*trail, key), arrays) for key, item in value.items()}}


def _encode_numpy(value, trail, arrays):
    if value.dtype.str not in DTYPES or is_masked(value):
        got = "a masked array" if is_masked(value) else f"dtype {value.dtype}"
        raise TypeError(f"`{_place(trail)}` must hold numbers or booleans, got {got}.")
    if isinstance(value, np.generic):
        return {"scalar": [value.dtype.str, value.tobytes().hex()]}
    arrays.append(value.view(np.ndarray))
    return {"array": len(arrays) - 1}


def _place(trail):
    return "tree" + "".join(f"[{key!r}]" for key in trail)


def decode(node, arrays):
    """The tree that `encode` was given."""
    if isinstance(node, list):
        return [decode(item, arrays) for item in node]
    if not isinstance(node, dict):
        return node
    ((sort, value),) = node.items()
    return _DECODERS[sort](value, arrays)


def _scalar(value, arrays):
    dtype, digits = value
    (scalar,) = np.frombuffer(bytes.fromhex(digits), DTYPES[dtype])
    return scalar


_DECODERS = {
    "dict": lambda value, arrays: {key: decode(item, arrays) for key, item in value.items()},
    "array": lambda value, arrays: arrays[value],
    "int": lambda value, arrays: int(value, 16),  # base 16: Python limits the digits of base 10
    "float": lambda value, arrays: struct.unpack("<d", bytes.fromhex(value))[0],
    "scalar": _scalar,
}


def to_json(header):
    # "surrogatepass" on both sides: strings that decode file names may hold halves of surrogate pairs.
    text = json.dumps(header, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)


def from_json(array):
    return json.loads(array.tobytes().decode("utf-8", "surrogatepass"))
