"""The memory of an optimizer's state: one block for all slots, laid out for the memory system."""

import numpy as np

from .. import _core

ALIGNMENT = 64
# Streams whose distance is close to a power of two share cache sets and fight over them; large slots are set
# apart by this much more than their size (docs/performance: state_layout).
STAGGER = 20 * 1024 + ALIGNMENT
STAGGER_FROM = 256 * 1024


def allocate(arrays, slot_names):
    """Return slot name -> tuple of zeroed arrays with the shapes and dtypes of `arrays`.

    All are views of one block of zero pages, which the operating system hands out when the first step touches
    them, in the thread that will use them.
    """
    offset, placed = 0, []
    for name in slot_names:
        for array in arrays:
            placed.append((name, offset, array))
            offset += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
            offset += STAGGER if array.nbytes >= STAGGER_FROM else 0
    block = np.zeros(offset + ALIGNMENT, np.uint8)
    _core.advise_huge_pages(block)
    first = -block.ctypes.data % ALIGNMENT
    slots = {name: () for name in slot_names}
    for name, offset, array in placed:
        memory = block[first + offset : first + offset + array.nbytes]
        slots[name] += (memory.view(array.dtype).reshape(array.shape),)
    return slots
