"""Numbers that look random and are the same bits on every machine: from a counter, by integer arithmetic.

Those of `numpy.random` that are not integers go through the C library's functions, which round differently from one
platform to the next.
"""

import numpy as np
import scipy.sparse

GOLDEN, FIRST, SECOND = (np.uint64(each) for each in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


class ExactNumbers:
    """A stream of such numbers, another one for each seed."""

    def __init__(self, seed):
        self.drawn = seed << 40

    def bits(self, n):
        """64 random bits for each of n: splitmix64 (Steele, Lea & Flood 2014)."""
        x = np.arange(self.drawn + 1, self.drawn + n + 1, dtype=np.uint64) * GOLDEN
        self.drawn += n
        x = (x ^ (x >> np.uint64(30))) * FIRST
        x = (x ^ (x >> np.uint64(27))) * SECOND
        return x ^ (x >> np.uint64(31))

    def integers(self, low, high, n):
        """From [low, high)."""
        return low + (self.bits(n) >> np.uint64(33)).astype(np.int64) % (high - low)

    def numbers(self, shape, dtype=np.float64):
        """Of both signs and several sizes, in (-2, 2), with 21 bits, which float32 holds, too."""
        bits = self.bits(int(np.prod(shape)))
        sizes = np.array([1.0, 0.5, 0.25, 0.125])[(bits & np.uint64(3)).astype(np.intp)] * 2.0**-19
        odd = 2 * (bits >> np.uint64(44)).astype(np.int64) + 1 - 2**20  # none is zero
        return (odd * sizes).astype(dtype).reshape(shape)

    def between(self, low, high, n):
        """From [low, high), in steps of 2^-20."""
        return self.integers(int(low * 2**20), int(high * 2**20), n) / 2**20

    def permutation(self, n):
        """0 ... n - 1."""
        return np.argsort(self.bits(n), kind="stable")

    def csr(self, shape, density, dtype):
        """A sparse matrix."""
        size = int(np.prod(shape))
        is_there = (self.bits(size) >> np.uint64(44)).astype(np.int64) < density * 2**20
        return scipy.sparse.csr_array(np.where(is_there.reshape(shape), self.numbers(shape, dtype), dtype(0)))
