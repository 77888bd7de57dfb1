"""Ctrl-C is deferred to the end of an iteration, so that a checkpoint written then has complete steps only."""

import signal
import threading


class DeferredInterrupt:
    """While active, the first Ctrl-C is noted, and `check` raises it; a second one interrupts at once.

    Does nothing outside the main thread, or where the program handles Ctrl-C in its own way.
    """

    def __init__(self, wanted):
        mine = threading.current_thread() is threading.main_thread()
        self.active = wanted and mine and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        self.noted = False

    def __enter__(self):
        if self.active:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *error):
        if self.active:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, number, frame):
        if self.noted:
            signal.default_int_handler(number, frame)
        self.noted = True

    def taken(self):
        """The Ctrl-C that was noted, as an exception for the caller to raise; else None."""
        noted, self.noted = self.noted, False
        return KeyboardInterrupt() if noted else None

    def check(self):
        """Raise the Ctrl-C that was noted."""
        if self.noted:
            raise KeyboardInterrupt
