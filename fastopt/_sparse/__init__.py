"""Sparse gradients: what may be passed as one, and how it becomes distinct positions and values."""
