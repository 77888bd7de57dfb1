# Part of _core.pyx: an optimizer for one block of code alone.

cdef class Claim:
    """Keeps an optimizer to one block of code.

    In C, as Python code could be interrupted between claiming and entering the block.
    """

    cdef Engine engine
    cdef str call
    cdef bint entered

    def __cinit__(self, Engine engine not None, str call):
        self.engine, self.call = engine, call

    def __enter__(self):
        self.engine.acquire(self.call)
        self.entered = True

    def __exit__(self, *error):
        if self.entered:
            self.entered = False
            self.engine.release()
