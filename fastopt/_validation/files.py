"""Open files that checkpoints are written to and read from."""

import io

from .text import shown


def binary_file(name, value, method, mode):
    """Refuse what is neither a path nor an open file of bytes with this method."""
    if not callable(getattr(value, method, None)):
        raise TypeError(f"`{name}` must be a path or a binary file to {method}, got {type(value).__name__}.")
    if isinstance(value, io.TextIOBase):
        _refuse_text(name, mode)


def binary_contents(name, contents):
    """Refuse what a file gave that is no bytes."""
    if contents is None:
        raise BlockingIOError("`path` must be a file that waits for its contents, got one that does not.")
    if not isinstance(contents, (bytes, bytearray, memoryview)):
        _refuse_text(name, "rb")


def written_bytes(name, count, n):
    """Return how many of n bytes a file says to have taken; one that would block takes none."""
    if count is None:
        raise BlockingIOError(f"`{name}` must be a file that waits until it can be written to, got one that does not.")
    if not isinstance(count, int) or not 1 <= count <= n:
        raise OSError(f"`{name}` must be a file whose write() returns how much it has taken, got {shown(count)}.")
    return count


def _refuse_text(name, mode):
    raise TypeError(f"`{name}` must be a file of bytes, got a file of text; open it with mode {mode!r}.")
