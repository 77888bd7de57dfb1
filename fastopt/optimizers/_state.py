"""The memory of an optimizer's state: one block for all slots, whose addresses suit the caches."""

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


def allocate(arrays, slot_names):
    """Return slot name -> tuple of zeroed arrays with the shapes and dtypes of `arrays`.

    All are 64-byte aligned views of one block of zero pages, which the operating system provides when the
    first step touches them, close to the thread that touches them.
    """
    per_slot = sum(array.nbytes + ALIGNMENT + (PAGE if array.nbytes >= STAGGER_FROM else 0) for array in arrays)
    block = np.zeros(per_slot * len(slot_names) + ALIGNMENT, np.uint8)
    _core.advise_huge_pages(block)
    start = block.ctypes.data
    at = start + -start % ALIGNMENT
    slots = {name: [] for name in slot_names}
    for array in arrays:
        into_page = array.ctypes.data // ALIGNMENT * ALIGNMENT
        for name in slot_names:
            if array.nbytes >= STAGGER_FROM:
                into_page += STAGGER
                at += (into_page - at) % PAGE
            memory = block[at - start : at - start + array.nbytes]
            slots[name].append(sealed(memory.view(array.dtype).reshape(array.shape)))
            at += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
    return {name: tuple(views) for name, views in slots.items()}
