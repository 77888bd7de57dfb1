"""Oracle of the codes of state that is stored in fewer bits (csrc/update/storage.h), in NumPy.

`encoded` gives the arrays that `state_dict` has, `decoded` the numbers in them.
"""

import numpy as np

GROUP = BLOCK = 256
GOLDEN = 0x9E3779B97F4A7C15
WEYL = np.uint32(0x9E3779B9)
MAX_SLOTS = 7
WORD = 2**64 - 1
LARGEST, INFINITE, NAN = 253, 254, 255
HAS_SPECIAL = 1 << 15
INFINITY = 0x7F800000


def mixed(x):
    """The finaliser of splitmix64."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & WORD
    return x ^ (x >> 31)


def random_bits(n, t, slot, seed=0, array=0, origin=0):
    """32 random bits for each of n entries of an array: of step t, of the slot with this number."""
    key = mixed((seed + GOLDEN) & WORD)
    key = mixed((key + t * GOLDEN) & WORD)
    key = mixed((key + (array * MAX_SLOTS + slot) * GOLDEN) & WORD)
    places = np.arange(origin, origin + n)
    starts = {group: mixed((key + int(group) * GOLDEN) & WORD) >> 32 for group in set((places // GROUP).tolist())}
    start = np.array([starts[group] for group in (places // GROUP).tolist()], np.uint32)
    with np.errstate(over="ignore"):
        return start + (places % GROUP).astype(np.uint32) * WEYL


def bfloat16(values, bits):
    """Codes of float32 numbers, rounded up where the upper bits are large enough."""
    x = np.ascontiguousarray(values, np.float32).reshape(-1).view(np.uint32)
    size = x & np.uint32(0x7FFFFFFF)
    up = np.where(size >= 0x7F7F0000, 0, bits >> 16).astype(np.uint32)
    return ((x + up) >> 16).astype(np.uint16).reshape(np.shape(values))


def log8_bytes(size):
    """Where the offsets begin, and the bytes of all."""
    start = -(-size // 64) * 64
    return start, start + 2 * -(-size // BLOCK)


def log8(values, bits):
    """Codes and offsets of float32 numbers that are not negative, as one array of bytes."""
    x = np.ascontiguousarray(values, np.float32).reshape(-1).view(np.uint32).astype(np.int64)
    start, nbytes = log8_bytes(x.size)
    memory = np.zeros(nbytes, np.uint8)
    logarithm = np.where(x > 0x7FFFFFFF, 0, np.minimum((x + (bits >> 12)) >> 20, 0x7F7))
    size = x & 0x7FFFFFFF
    for block in range(-(-x.size // BLOCK)):
        here = slice(block * BLOCK, min((block + 1) * BLOCK, x.size))
        finite = size[here] < INFINITY
        offset = max(0, int(np.max(logarithm[here], where=finite, initial=0)) - LARGEST)
        codes = np.where(logarithm[here] > 0, np.maximum(logarithm[here] - offset, 1), 0)
        codes = np.where(finite, codes, np.where(size[here] > INFINITY, NAN, INFINITE))
        memory[here] = codes
        memory[start:].view(np.uint16)[block] = offset | (0 if finite.all() else HAS_SPECIAL)
    return memory


def encoded(storage, values, bits):
    """What `state_dict` has for a slot that holds these numbers after rounding with these bits."""
    if storage == "float32":
        return np.asarray(values).astype(np.float32)
    return {"bfloat16": bfloat16, "log8": log8}[storage](values, bits)


def decoded(storage, array, shape):
    """The numbers of an array of `state_dict`, in float32."""
    if storage == "float32":
        return array
    if storage == "bfloat16":
        return (array.astype(np.uint32) << 16).view(np.float32).reshape(shape)
    size = int(np.prod(shape))
    offset = np.repeat(array[log8_bytes(size)[0] :].view(np.uint16), BLOCK)[:size].astype(np.uint32)
    code = array[:size].astype(np.uint32)
    bits = np.where(code == 0, 0, (code + (offset & 0x7FFF)) << 20).astype(np.uint32)
    special = (offset & HAS_SPECIAL != 0) & (code > LARGEST)
    bits = np.where(special, np.where(code == NAN, 0x7FC00000, INFINITY), bits).astype(np.uint32)
    return bits.view(np.float32).reshape(shape)
