"""Checkpoints of several processes: a folder with a file of each rank, and a manifest, which is written last.

    manifest.npz                     which files belong together, and the shapes of the whole arrays
    <generation>-<rank>.npz          what rank `rank` has: an optimizer as `fastopt.save` writes it

Each save has a generation of its own, so that no file of the former one is written to. The manifest is replaced
atomically once all files are on disk; then those of former generations are removed. Whenever a process or a machine
stops, the manifest names files that are complete. Files have checksums, and the manifest has those of all.
"""

import contextlib
import json
import os
import re

from .. import _validation
from .._checkpoint.files import CHECKSUM_BYTES, CheckpointError, fits_optimizer, opened, read, write
from .._checkpoint.optimizers import load_state
from .._checkpoint.slices import Piece, check_piece, state_of_parts
from .._memory import base_view
from ._agreement import Call, Together
from ._collectives import gathered_texts

MANIFEST = "manifest.npz"
FILE = re.compile(r"([0-9a-f]{16})-\d+\.npz")


def save(comm, path, optimizer, shapes, starts):
    """Write the parts of all ranks; a collective call."""
    rank = comm.Get_rank()
    with Call(comm) as call:
        with call.together():
            folder = _validation.distributed.folder(path)
            if rank == 0:
                os.makedirs(folder, exist_ok=True)
        generation = gathered_texts(comm, os.urandom(8).hex())[0]
        file = os.path.join(folder, f"{generation}-{rank}.npz")
        try:
            with call.together():
                part = _write_part(file, optimizer, starts)
        except BaseException:
            _remove(file)
            raise
        parts = [json.loads(text) for text in gathered_texts(comm, json.dumps(part))]
        with Together(comm):  # which Ctrl-C does not end: the manifest may be there already
            if rank == 0:
                _check_shared(folder, generation, parts)
                _write_manifest(folder, generation, parts, optimizer, shapes)
                _remove_former(folder, generation)
        with call.together():
            pass


def _write_part(file, optimizer, starts):
    """Write a file, and return what the manifest says of it."""
    with optimizer._claim("save()"):
        params = [base_view(array) for array in optimizer._flat_params]
        write(file, "part", optimizer._snapshot() | {"params": params, "starts": starts})
    return {"checksum": _checksum(file), "starts": starts, "sizes": [array.size for array in params]}


def _checksum(file):
    """The digits that a checkpoint file ends with; something else of one that is damaged."""
    with open(file, "rb") as contents:
        size = contents.seek(0, os.SEEK_END)
        contents.seek(max(size - CHECKSUM_BYTES, 0))
        return contents.read().decode("ascii", "replace")


def _check_shared(folder, generation, parts):
    """Refuse a folder that is another one on other ranks, where what they wrote is not to be found."""
    for rank, part in enumerate(parts):
        file = os.path.join(folder, f"{generation}-{rank}.npz")
        if not os.path.exists(file) or _checksum(file) != part["checksum"]:
            _validation.distributed.refuse_folder(folder, rank)


def _write_manifest(folder, generation, parts, optimizer, shapes):
    tree = {
        "generation": generation,
        "optimizer": type(optimizer).__name__,
        "step_count": optimizer.step_count,
        "shapes": [list(shape) for shape in shapes],
        **{name: [part[name] for part in parts] for name in ("checksum", "starts", "sizes")},
    }
    write(os.path.join(folder, MANIFEST), "manifest", tree)


def _remove_former(folder, generation):
    """Remove what former saves have left."""
    for name in os.listdir(folder):
        found = FILE.fullmatch(name)
        if found and found[1] != generation:
            _remove(os.path.join(folder, name))


def _remove(file):
    """Remove a file if that is possible; one that stays does no harm."""
    with contextlib.suppress(OSError):
        os.remove(file)


def load(call, path, optimizer, shapes, starts):
    """Load this rank's part of what any number of ranks have written; all ranks load, or none."""
    with call.together():
        folder = _validation.distributed.folder(path)
        manifest = read(os.path.join(folder, MANIFEST), "manifest")
        with fits_optimizer(folder):
            shapes = [list(shape) for shape in shapes]
            _validation.distributed.manifest(manifest, type(optimizer).__name__, shapes)
        with contextlib.ExitStack() as files:
            needed = _needed(manifest, starts, [array.size for array in optimizer._flat_params])
            pieces = [files.enter_context(_piece(folder, manifest, rank, optimizer)) for rank in needed]
            with fits_optimizer(folder):
                state, params = state_of_parts(pieces, optimizer, starts)
    with call.change(), fits_optimizer(folder), optimizer._claim("load()"):
        load_state(optimizer, state, params, starts)


def _needed(manifest, starts, sizes):
    """The ranks whose files have entries of some parts of arrays; one, if these are empty, for all but arrays."""

    def overlaps(rank):
        theirs = zip(manifest["starts"][rank], manifest["sizes"][rank], strict=True)
        ours = zip(starts, sizes, strict=True)
        return any(max(a, b) < min(a + n, b + m) for (a, n), (b, m) in zip(theirs, ours, strict=True))

    return [rank for rank in range(len(manifest["starts"])) if overlaps(rank)] or [0]


@contextlib.contextmanager
def _piece(folder, manifest, rank, optimizer):
    """What a rank has written, while its file is open."""
    path = os.path.join(folder, f"{manifest['generation']}-{rank}.npz")
    if not os.path.isfile(path):
        raise CheckpointError(path, "it is missing, though the manifest names it")
    if _checksum(path) != manifest["checksum"][rank]:
        raise CheckpointError(path, "it is not the file that the manifest names")
    with opened(path, "part") as tree:
        piece = Piece(tree, manifest["starts"][rank])
        with fits_optimizer(folder):
            check_piece(piece, optimizer)
            _validation.distributed.part(tree, manifest["starts"][rank], manifest["sizes"][rank])
        yield piece
