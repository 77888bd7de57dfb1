"""Sparse gradients: their formats, and their conversion to distinct positions and values."""
