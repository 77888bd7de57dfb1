"""Open files that checkpoints are written to and read from."""

import io


def binary_file(name, value, method, mode):
    """Refuse what is neither a path nor an open file of bytes with this method."""
    if not callable(getattr(value, method, None)):
        raise TypeError(f"`{name}` must be a path or a binary file to {method}, got {type(value).__name__}.")
    if isinstance(value, io.TextIOBase):
        _refuse_text(name, mode)


def binary_contents(name, contents):
    """Refuse what a file gave that is no bytes."""
    if not isinstance(contents, (bytes, bytearray, memoryview)):
        _refuse_text(name, "rb")


def _refuse_text(name, mode):
    raise TypeError(f"`{name}` must be a file of bytes, got a file of text; open it with mode {mode!r}.")
