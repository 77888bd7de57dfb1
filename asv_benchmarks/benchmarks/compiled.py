"""Dense steps that are called from C: what a call costs without the interpreter."""

import problems
from registry import DTYPES, OPTIMIZERS

from ._settings import REPEAT, ROUNDS, kept

_steps = kept(problems.compiled_steps)


class CompiledStep:
    """A small step from a loop in C."""

    params = (OPTIMIZERS, [100], DTYPES)
    param_names = ("optimizer", "n", "dtype")
    repeat, rounds = REPEAT, ROUNDS

    def setup(self, optimizer, n, dtype):
        self.run = _steps(optimizer, n, dtype)

    def time_1000_steps(self, optimizer, n, dtype):
        self.run(1000)
