"""Finite sums: the data of an objective in C, SAGA and SVRG, and the segments of epochs that `minimize` runs."""
