"""The memory of an optimizer's state: one block for all slots, laid out for the memory system."""

import numpy as np

from .. import _core

ALIGNMENT = 64
PAGE = 4096
# An update walks through the parameter, the gradient and the slots side by side. Two streams whose distance is
# a multiple of a page meet in one set of the first-level cache all the way; with an unlucky distance (on Zen
# 2^27 bytes plus one page) they also get one way tag and throw each other out at every access, which costs up
# to 2x. So each slot of a large array starts this much further into a page than the one before it, and the
# first this much further than the parameter. docs/performance/README.md has the measurements.
STAGGER = 12 * ALIGNMENT
STAGGER_FROM = 64 * 1024


def allocate(arrays, slot_names):
    """Return slot name -> tuple of zeroed arrays with the shapes and dtypes of `arrays`.

    All are 64-byte aligned views of one block of zero pages, which the operating system hands out when the
    first step touches them, in the thread that will use them.
    """
    room = sum(array.nbytes + ALIGNMENT + (PAGE if array.nbytes >= STAGGER_FROM else 0) for array in arrays)
    block = np.zeros(room * len(slot_names) + ALIGNMENT, np.uint8)
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
            slots[name].append(memory.view(array.dtype).reshape(array.shape))
            at += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
    return {name: tuple(views) for name, views in slots.items()}
