"""Parts of saved optimizers: what arrays that are parts of the saved ones need, read without the rest.

An optimizer over parts of arrays is put together of pieces: trees of saved optimizers, each of which has some entries
of each array. One file has them all; the files of a folder that several processes wrote have some each.
"""

import dataclasses
import math

import numpy as np

from .. import _core
from .._memory import base_view
from .files import StoredArray


@dataclasses.dataclass
class Piece:
    """A saved optimizer whose arrays are parts of whole ones.

    Attributes
    ----------
    tree : dict
        As `save` wrote it, with a `StoredArray` in the place of each array.
    starts : list of int
        The entry of each whole array, in C order, with which that of the piece begins.
    """

    tree: dict
    starts: list

    def width(self, k):
        """Entries in a row of array k."""
        return row_width(self.tree["params"][k].shape)


@dataclasses.dataclass
class Target:
    """An array of the optimizer that is loaded: number k, with entries from `start` on of the whole one."""

    k: int
    start: int
    param: np.ndarray

    def overlaps(self, pieces):
        """(piece, first and last entry of the whole that both have) for those that have any."""
        for piece in pieces:
            begin, size = piece.starts[self.k], math.prod(piece.tree["params"][self.k].shape)
            low, high = max(begin, self.start), min(begin + size, self.start + self.param.size)
            if low < high:
                yield piece, low, high


def row_width(shape):
    """Entries in what one index of the first axis selects."""
    return math.prod(shape[1:])


def state_of_parts(pieces, optimizer, starts):
    """The state dictionary for an optimizer, and its parameters, whose arrays are parts of those of pieces.

    Parameters
    ----------
    pieces : list of Piece
        That `check_piece` has passed, of optimizers with the same hyper-parameters, which have all entries.
    optimizer : Optimizer
    starts : list of int
        The entry of each whole array with which that of the optimizer begins.

    Returns
    -------
    dict, list of ndarray
        As `Optimizer._load` takes them: all else is checked there.
    """
    flat = [base_view(param) for param in optimizer._flat_params]
    targets = [Target(k, start, param) for k, (start, param) in enumerate(zip(starts, flat, strict=True))]
    params = [_entries(target, pieces, lambda piece, k: piece.tree["params"][k], target.param) for target in targets]
    first = pieces[0].tree
    saved = {name: value for name, value in first.items() if name not in ("params", "names", "state", "last_steps")}
    storages, shapes = _storages_and_shapes(first, optimizer)
    state = {
        name: [_slot(target, pieces, name, shapes[name], storages.get(name)) for target in targets]
        for name in first["state"]
    }
    last_steps = [_last_steps(target, pieces, first["step_count"]) for target in targets]
    return _without_stored(saved) | {"state": state, "last_steps": last_steps}, params


def check_piece(piece, optimizer):
    """Refuse a tree that has not the arrays which an optimizer of this class has over parameters like those in it."""
    tree = piece.tree
    if not isinstance(tree, dict) or not isinstance(tree.get("hyperparameters"), dict):
        raise ValueError("`hyperparameters` must be saved as a dict, got none.")
    params = _stored("params", tree.get("params"), len(optimizer._flat_params))
    for k, (saved, own) in enumerate(zip(params, optimizer._flat_params, strict=True)):
        if saved is None or saved.dtype != own.dtype:
            raise ValueError(f"`params[{k}]` must be of the dtype of the saved one, got {own.dtype}.")
    storages, shapes = _storages_and_shapes(tree, optimizer)
    if not isinstance(tree.get("state"), dict) or {*tree["state"]} != {*shapes}:
        raise ValueError(f"`state` must be saved with the entries {list(shapes)!r}, got others.")
    for name, per in shapes.items():
        found = _stored(f"state[{name!r}]", tree["state"][name], len(params))
        _same_layouts(name, found, [_core.slot_layout(_like(each), per, storages.get(name)) for each in params])
    last_steps = _stored("last_steps", tree.get("last_steps"), len(params))
    rows = [((math.prod(each.shape) // max(row_width(each.shape), 1),), np.dtype(np.int64)) for each in params]
    _same_layouts("last_steps", last_steps, [row if each else None for row, each in zip(rows, last_steps, strict=True)])


def _storages_and_shapes(tree, optimizer):
    """How the slots of a saved optimizer are stored, and what they have numbers for."""
    values = optimizer._values | {"state_dtype": tree["hyperparameters"].get("state_dtype")}
    return _core.slot_storages(optimizer.rule, values), _core.slot_shapes(optimizer.rule, values)


def _stored(name, arrays, n):
    """A list of n stored arrays, or None in the place of some."""
    if not isinstance(arrays, list) or len(arrays) != n or not all(isinstance(x, StoredArray | None) for x in arrays):
        raise ValueError(f"`{name}` must be saved as a list of {n} arrays, got something else.")
    return arrays


def _same_layouts(name, arrays, layouts):
    found = [None if each is None else (each.shape, each.dtype) for each in arrays]
    if found != layouts:
        raise ValueError(f"`{name}` must be saved with arrays that go with the parameters, got others.")


def _like(stored):
    """An array of the shape and dtype of a stored one, without its memory."""
    return np.broadcast_to(np.zeros((), stored.dtype), stored.shape)


def _without_stored(node):
    """A tree in which the arrays of a schedule have been read."""
    if isinstance(node, StoredArray):
        return node.read()
    if isinstance(node, dict):
        return {key: _without_stored(each) for key, each in node.items()}
    return [_without_stored(each) for each in node] if isinstance(node, list) else node


def _entries(target, pieces, array_of, like):
    """The entries of an array that has one for each of the parameter, in an array like another."""
    part = np.empty(like.size, like.dtype)
    for piece, low, high in target.overlaps(pieces):
        begin = piece.starts[target.k]
        part[low - target.start : high - target.start] = array_of(piece, target.k).read(low - begin, high - begin)
    return part.reshape(like.shape)


def _slot(target, pieces, name, per, storage):
    """A slot of the state of one array."""

    def array_of(piece, k):
        return piece.tree["state"][name][k]

    shape, dtype = _core.slot_layout(target.param, per, storage)
    if storage == "log8":
        return _logarithms(target, pieces, array_of, np.empty(shape, dtype))
    if per == "entry":
        return _entries(target, pieces, array_of, np.empty(shape, dtype))
    if per == "row":
        return _rows(target, pieces, array_of, np.empty(shape, dtype))
    return _whole(target, pieces, array_of, np.empty(shape, dtype))


def _rows(target, pieces, array_of, part):
    """What has a number for each row of the parameter; rows are in one piece."""
    width = row_width(target.param.shape)
    for piece, low, high in target.overlaps(pieces):
        begin = piece.starts[target.k]
        if piece.width(target.k) != width or low % width or high % width or begin % width or target.start % width:
            raise ValueError("parts must be of whole rows where the state has a number for each")
        rows = slice((low - target.start) // width, (high - target.start) // width)
        part[rows] = array_of(piece, target.k).read((low - begin) // width, (high - begin) // width)
    return part


def _whole(target, pieces, array_of, part):
    """What depends on all of an array."""
    for piece, low, high in target.overlaps(pieces):
        size = math.prod(piece.tree["params"][target.k].shape)
        if low != piece.starts[target.k] or high - low != size or size != target.param.size:
            raise ValueError("arrays must be whole where the state has numbers for whole arrays or matrices")
        part.reshape(-1)[:] = array_of(piece, target.k).read()
    return part


def _logarithms(target, pieces, array_of, part):
    """Codes of 8 bits, and the offsets of their groups, which are in the same array behind them."""
    codes, offsets = _codes_and_offsets(target.param.size, len(part))
    group = _core.GROUP_ENTRIES
    for piece, low, high in target.overlaps(pieces):
        begin, stored = piece.starts[target.k], array_of(piece, target.k)
        theirs = _codes_and_offsets(math.prod(piece.tree["params"][target.k].shape), math.prod(stored.shape))
        if (low - begin) % group or (low - target.start) % group:
            raise ValueError(f"parts must begin with a multiple of {group} entries where the state is 8-bit logarithms")
        here, there, n = low - target.start, low - begin, high - low
        part[here : here + n] = stored.read(there, there + n)
        groups = -(-n // group)
        ours = offsets + here // group * 2
        from_theirs = theirs[1] + there // group * 2
        part[ours : ours + groups * 2] = stored.read(from_theirs, from_theirs + groups * 2)
    part[codes:offsets] = 0
    return part


def _codes_and_offsets(size, nbytes):
    """Where the codes of an array end, and where the offsets, two bytes for each group, begin."""
    return size, nbytes - 2 * -(-size // _core.GROUP_ENTRIES)


def _last_steps(target, pieces, step_count):
    """The steps that rows are up to date with; None if all are."""
    parts = [piece for piece, _, _ in target.overlaps(pieces)]
    if all(piece.tree["last_steps"][target.k] is None for piece in parts):
        return None

    def array_of(piece, k):
        found = piece.tree["last_steps"][k]
        return AllCurrent(step_count) if found is None else found

    rows = target.param.size // max(row_width(target.param.shape), 1)
    return _rows(target, pieces, array_of, np.empty(rows, np.int64))


@dataclasses.dataclass
class AllCurrent:
    """In the place of the stored steps of rows of which all are up to date."""

    step_count: int

    def read(self, start, stop):
        """The steps of some rows."""
        return np.full(stop - start, self.step_count, np.int64)
