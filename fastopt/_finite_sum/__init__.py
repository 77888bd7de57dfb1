"""Finite sums: the data of an objective in C, methods of its own, and the segments of epochs that `minimize` runs."""
