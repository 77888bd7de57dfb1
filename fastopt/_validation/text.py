"""How messages show what they got: short, whatever it is."""

import reprlib


class _Short(reprlib.Repr):
    """What repr() gives for small values; of long ones the beginning, or what they are."""

    def __init__(self):
        super().__init__()
        self.maxlevel = 3
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = self.maxarray = 6
        self.maxstring = self.maxother = 120

    def repr_ndarray(self, array, level):
        if array.size > self.maxlist:
            return f"an array of shape {array.shape}, dtype {array.dtype}"
        return self.repr_instance(array, level)

    def repr_instance(self, value, level):
        return " ".join(super().repr_instance(value, level).split())

    def repr_int(self, value, level):
        return f"an integer of {value.bit_length():,} bits" if abs(value) >= 10**40 else repr(value)


_SHORT = _Short()


def shown(value):
    """A value in a message: its repr, shortened where that is long; an array is never printed whole."""
    return _SHORT.repr(value)
