"""Checks of `data` that give batches, or chunks of samples, one after the other."""

import inspect
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from . import samples
from .text import shown

# What makes an object an array, of which samples are selected, although it may be iterable, too.
_OF_ARRAYS = ("shape", "__array__", "__array_interface__", "__dlpack__", "tocsr", "iloc")


def is_stream(data):
    """Whether `data` gives items one by one, or a function that makes what gives them."""
    if isinstance(data, type):
        return True
    if isinstance(data, (tuple, list, str, range, Mapping)) or _is_array(data):
        return False
    return isinstance(data, Iterable) or callable(data)


def _is_array(value):
    if any(hasattr(value, name) for name in _OF_ARRAYS):
        return True
    try:
        return memoryview(value) is not None
    except TypeError:
        return False


def opener(data):
    """What opens `data`, which is an iterator, an iterable or a function that returns one."""
    return Opener(data, None if isinstance(data, Iterable) and not isinstance(data, type) else _takes_epoch(data))


def _takes_epoch(function):
    """Whether a function needs the number of the epoch; if it can do without, it is called without."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # a builtin without a signature
        return False
    for arguments in ((), (0,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return bool(arguments)
    raise TypeError(
        f"`data` must be a function of no argument, or of the number of the epoch, got one of {signature}; "
        "pass lambda: data(...) with its arguments."
    )


class Opener:
    """Opens `data`.

    Attributes
    ----------
    data : object
        As the user gave it.
    takes_epoch : bool or None
        Whether it is a function of the number of the epoch; None if it is no function.
    read_once : bool
        Whether it can be read only once.
    """

    def __init__(self, data, takes_epoch):
        self.data, self.takes_epoch = data, takes_epoch
        self.read_once = takes_epoch is None and isinstance(data, Iterator)

    def items(self, epoch):
        """The iterator over the items of an epoch, the first of which is epoch 0."""
        if self.takes_epoch is None:
            return iter(self.data)
        items = self.data(epoch) if self.takes_epoch else self.data()
        if not isinstance(items, Iterable) or _is_array(items):
            raise TypeError(
                f"`data` must return an iterable of batches, got {type(items).__name__}; return a list of them, [...]."
            )
        return iter(items)


def arguments(item, number, expected):
    """The arguments that an item stands for: those in a tuple or list, or the item itself."""
    item = tuple(item) if isinstance(item, (tuple, list)) else (item,)
    if expected is not None and len(item) != expected:
        raise ValueError(
            f"`data` must give items of as many arrays as the first one, which has {expected}, got {len(item)} in item "
            f"{number}."
        )
    return tuple(samples.plain_array(f"data[{k}]", each) for k, each in enumerate(item))


def chunk(arrays, number):
    """A chunk of samples as arrays that an index array selects from, and the number of the samples."""
    try:
        return samples.arrays_of_one_length("data", arrays)
    except (TypeError, ValueError) as error:
        error.add_note(f"This is item {number} of `data`, a chunk of samples as `batch_size` is given.")
        raise


def weight(arguments):
    """The number of samples in a batch if its arrays agree about it, or 1."""
    shapes = [getattr(each, "shape", ()) for each in arguments]
    lengths = {shape[0] if len(shape) else None for shape in shapes}
    length = lengths.pop() if len(lengths) == 1 else None
    return int(length) if isinstance(length, (int, np.integer)) else 1


def at_least_one_batch(epoch):
    """Refuse data without a batch; later epochs may find out that there is nothing left to be read."""
    if epoch == 0:
        raise ValueError(
            "`data` must give at least one batch, got none; an iterator that has been used up gives no more."
        )


def refuse_shorter(given, used):
    """Raise for a resumed run whose data end before the place where it was saved."""
    raise ValueError(
        f"`data` must begin with the {used} batches that the run had used when it was saved, got {given}; "
        "pass the data from their beginning."
    )


def count_needed():
    """Raise for a learning rate that is a function of a budget that is not known."""
    raise ValueError(
        "`maxiter` must be given for method=None if `data` can be read only once: its learning rate falls over the "
        "iterations, whose number is not known; pass options={'maxiter': ...}."
    )


def no_prefetch(value):
    """Refuse to read ahead where nothing is read."""
    if value:
        raise ValueError(f"`prefetch` must be 0 without `data`, of which it reads ahead, got {shown(value)}.")
