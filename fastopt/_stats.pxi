# Part of _core.pyx: norm and finiteness of gradients as values that can be added, sent and given to a step.

from inspect import Signature

STATS_ENTRIES = FO_STATS_ENTRIES


cdef class GradientStats:
    """What `clip_norm` and `nonfinite` need to know of a gradient; that of parts of one can be added.

    `Optimizer.gradient_stats` makes it, and `step` takes it. The sum of squares is kept without rounding, so that
    ``+`` gives the same bits in any grouping and any order. Called without arguments it is that of nothing, the start
    of a sum.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> halves = [fastopt.SGD(np.zeros(2), clip_norm=1.0) for _ in range(2)]
    >>> grads = [np.array([3.0, 0.0]), np.array([0.0, 4.0])]
    >>> total = sum([opt.gradient_stats(g) for opt, g in zip(halves, grads)], fastopt.GradientStats())
    >>> total.norm
    5.0
    >>> for opt, g in zip(halves, grads):
    ...     opt.step(g, stats=total)
    """

    __signature__ = Signature()               # as extension types have none that is found

    def __cinit__(self):
        self.it.finite = True

    @property
    def finite(self):
        """Whether every entry is finite."""
        return self.it.finite != 0

    @property
    def sum_squares(self):
        """Sum of the squares of all entries, after `clip_value`; infinite if float64 cannot hold it."""
        return fo_exact_value(&self.it.squares)

    @property
    def norm(self):
        """The Euclidean norm, also where `sum_squares` is too large or too small for float64."""
        return fo_exact_root(&self.it.squares)

    def __add__(self, other):
        cdef GradientStats total
        cdef const fo_gradient_stats *more
        cdef int k
        if not isinstance(other, GradientStats):
            return NotImplemented
        total, more = GradientStats(), &(<GradientStats>other).it
        total.it = self.it
        for k in range(FO_EXACT_DIGITS):
            total.it.squares.digit[k] += more.squares.digit[k]
        fo_carry(&total.it.squares)
        total.it.squares.overflow = max(self.it.squares.overflow, more.squares.overflow)
        total.it.finite = self.it.finite and more.finite
        return total

    def __eq__(self, other):
        return isinstance(other, GradientStats) and bytes(self) == bytes(other)

    __hash__ = None

    def __bytes__(self):
        return (<const char *>&self.it)[:sizeof(self.it)]

    def __reduce__(self):
        return stats_of, (bytes(self),)

    def __repr__(self):
        return f"GradientStats(finite={self.finite}, norm={self.norm!r})"


def stats_of(bytes contents not None):
    """The stats of which these are the bytes."""
    cdef GradientStats made = GradientStats()
    cdef const unsigned char *source = contents
    cdef int k
    if len(contents) != sizeof(made.it):
        raise ValueError(f"{sizeof(made.it)} bytes are needed, got {len(contents)}.")
    memcpy(&made.it, source, sizeof(made.it))
    for k in range(FO_EXACT_DIGITS):          # as C takes for granted of what it made itself
        made.it.squares.digit[k] &= 0xffffffff
    made.it.squares.overflow = min(max(made.it.squares.overflow, FO_NUMBER), FO_NAN)
    made.it.finite = made.it.finite != 0
    return made
