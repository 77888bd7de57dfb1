"""Finite sums: what lies between the objectives, `minimize` and the epochs in C."""
