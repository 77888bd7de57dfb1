"""The memory of an optimizer's state: one block for all slots, whose addresses suit the caches."""

import math

import numpy as np

from .. import _core
from .._memory import sealed

ALIGNMENT = 64
PAGE = 4096
# An update reads the parameter, the gradient and the slots side by side. Two arrays whose distance is a multiple of a
# page use the same set of the first-level cache at any time. At some distances (on Zen 2^27 bytes plus one page) the
# way predictor cannot tell them apart either: they evict each other at every access, and a step takes up to twice as
# long. So each slot of a large array starts this much further into a page than the one before it, and the first this
# much further than the parameter. docs/performance/README.md has the measurements.
STAGGER = 12 * ALIGNMENT
STAGGER_FROM = 64 * 1024


def allocate(arrays, slots, storages):
    """Return slot name -> tuple of zeroed arrays that go with `arrays`.

    `slots` is what `_core.slot_shapes` gives, and `storages` what `storages_of` does.

    All are 64-byte aligned views of one block of zero pages, which the operating system provides when the
    first step touches them, close to the thread that touches them.
    """
    layouts = [[_core.slot_layout(array, per, storages.get(name)) for name, per in slots.items()] for array in arrays]
    sizes = [_size(*layout) for each in layouts for layout in each]
    needed = sum(size + ALIGNMENT + PAGE * (size >= STAGGER_FROM) for size in sizes)
    block = np.zeros(needed + ALIGNMENT, np.uint8)
    _core.advise_huge_pages(block)
    start = block.ctypes.data
    at = start + -start % ALIGNMENT
    made = {name: [] for name in slots}
    for array, each in zip(arrays, layouts, strict=True):
        into_page = array.ctypes.data // ALIGNMENT * ALIGNMENT
        for name, (shape, dtype) in zip(slots, each, strict=True):
            size = _size(shape, dtype)
            if size >= STAGGER_FROM:
                into_page += STAGGER
                at += (into_page - at) % PAGE
            memory = block[at - start : at - start + size]
            made[name].append(sealed(memory.view(dtype).reshape(shape)))
            at += -(-size // ALIGNMENT) * ALIGNMENT
    return {name: tuple(views) for name, views in made.items()}


def _size(shape, dtype):
    return math.prod(shape) * dtype.itemsize
