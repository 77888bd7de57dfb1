"""Trees of plain values and arrays as JSON and a list of arrays, and back, bit for bit.

A value that JSON lacks becomes an object with one key, which names its type. So does a dict, or a key of the user's
could be mistaken for the name of a type.
"""

import json
import math
import struct

import numpy as np

from .._validation.conversions import is_masked

DEEPEST = 64  # levels of a tree: far below Python's recursion limit, and a tree that contains itself is refused
LARGEST_NUMBER = 2**53  # up to here all readers of JSON read integers exactly
DTYPES = {
    text: np.dtype(text)
    for code in "?" + np.typecodes["AllInteger"] + np.typecodes["AllFloat"]
    for text in (np.dtype(code).newbyteorder(order).str for order in "<>")
}


def encode(value, keys, arrays):
    """What a tree is in JSON; its arrays go into `arrays`. `keys` are those that lead to it."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (np.generic, np.ndarray)):
        return _encode_numpy(value, keys, arrays)
    if isinstance(value, int):
        return value if abs(value) <= LARGEST_NUMBER else {"int": hex(value)}
    if isinstance(value, float):  # JSON writes the digits that give the same bits, but has no NaN
        return value if math.isfinite(value) else {"float": struct.pack("<d", value).hex()}
    if not isinstance(value, (list, tuple, dict)):
        raise TypeError(
            f"`{_place(keys)}` must be a dict, a list, a number, a string, None or a NumPy array, "
            f"got {type(value).__name__}."
        )
    if len(keys) >= DEEPEST:
        raise ValueError(f"`tree` must have at most {DEEPEST} levels, got more at `{_place(keys)}`.")
    if not isinstance(value, dict):
        return [encode(item, (*keys, k), arrays) for k, item in enumerate(value)]
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"`{_place(keys)}` must have strings as keys, got {key!r}.")
    return {"dict": {key: encode(item, (*keys, key), arrays) for key, item in value.items()}}


def _encode_numpy(value, keys, arrays):
    if value.dtype.str not in DTYPES or is_masked(value):
        got = "a masked array" if is_masked(value) else f"dtype {value.dtype}"
        raise TypeError(f"`{_place(keys)}` must hold numbers or booleans, got {got}.")
    if isinstance(value, np.generic):
        return {"scalar": [value.dtype.str, value.tobytes().hex()]}
    arrays.append(value.view(np.ndarray))
    return {"array": len(arrays) - 1}


def _place(keys):
    return "tree" + "".join(f"[{key!r}]" for key in keys)


def decode(node, arrays):
    """The tree that `encode` was given."""
    if isinstance(node, list):
        return [decode(item, arrays) for item in node]
    if not isinstance(node, dict):
        return node
    ((kind, value),) = node.items()
    return _DECODERS[kind](value, arrays)


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
