"""One random sequence of calls: its random numbers, its transcript, and what counts as a finding."""

import contextlib
import os
import pickle
import random

import numpy as np

# What a call may raise that cannot be carried out. Anything else says nothing to a user.
CLEAR = (ValueError, TypeError, IndexError, RuntimeError, FloatingPointError, AttributeError, OSError)
UNCLEAR = (RecursionError, NotImplementedError)  # though derived from one of CLEAR
SAID_BY_THE_INTERPRETER = ("'NoneType' object", "local variable")
MOST_DEEDS = 6


class Mischief(Exception):
    """Raised by the hostile actor in the user's code; passes through everything unchanged."""


class Sequence:
    """Random numbers, the transcript and the findings of one sequence; everything follows from the seed.

    Parameters
    ----------
    seed : int
    write : callable
        Takes a line of the transcript. It is on disk before the call is made that it tells of.
    folder, libraries : str
        For files, and for compiled libraries.
    """

    def __init__(self, seed, write, folder, libraries):
        self.rng, self.numbers = random.Random(seed), np.random.default_rng(seed)
        self.write, self.folder, self.libraries = write, folder, libraries
        self.findings, self.targets = [], {}
        self.actor, self.deeds, self.depth, self.calls = None, 0, 0, 0

    def find(self, severity, what):
        """Note a finding: "wrong" for a broken promise, "unclear" for an exception that says nothing."""
        self.findings.append((severity, what))
        self.write(f"    FINDING ({severity}): {what}")

    def chance(self, probability):
        return self.rng.random() < probability

    def call(self, text, function, unchanged=None, expected=None):
        """Make one call; returns what it returned, or None.

        Parameters
        ----------
        text : str
            The call, for the transcript.
        function : callable
            Makes it.
        unchanged : callable, optional
            Gives what a refused call must leave as it was. Not compared if the actor was at work inside the call.
        expected : tuple of exception types, optional
            In place of CLEAR; any other one breaks a promise.
        """
        self.write(text)
        before, deeds = unchanged and unchanged(), self.deeds
        self.calls += 1
        try:
            return function()
        except Mischief:
            self.write("    -> the mischief passed through")
        except Exception as error:
            self.judge(text, error, expected)
        finally:
            self.calls -= 1
        if unchanged is not None and deeds == self.deeds and unchanged() != before:
            self.find("wrong", f"the refused call {text.split('(')[0]} has changed something")
        return None

    def judge(self, text, error, expected):
        said = f"{type(error).__name__}: {str(error)[:200]}"
        self.write(f"    -> {said}")
        if expected is not None and not isinstance(error, expected):
            self.find("wrong", f"{text.split('(')[0]} raised {type(error).__name__}")
            return
        clear = isinstance(error, expected or CLEAR) and not isinstance(error, UNCLEAR)
        if not clear or str(error).startswith(SAID_BY_THE_INTERPRETER):
            self.find("unclear", f"{text.split('(')[0]} raised {said}")

    def hook(self, where):
        """Called by all code that a user may give to fastopt: here the hostile actor may be at work."""
        if (
            self.actor is not None
            and self.calls > 0
            and self.depth == 0
            and self.deeds < MOST_DEEDS
            and self.chance(0.5)
        ):
            self.depth += 1
            try:
                self.act(f"in {where}")
            finally:
                self.depth -= 1

    def act(self, where="between calls"):
        """One deed of the hostile actor."""
        if self.actor is not None:
            self.actor(self, where)


def whole(optimizer):
    """All that a refused call must leave as it was, for comparison; as it is, with rows that are behind."""
    params = optimizer.params
    arrays = params.values() if isinstance(params, dict) else params if isinstance(params, list) else [params]
    with contextlib.suppress(RuntimeError), optimizer._claim("whole()"):  # not inside another call
        return pickle.dumps((optimizer._snapshot_as_it_is(), [array.tobytes() for array in arrays]))


def transcript_to(path):
    """A function that writes a line to a file, at once and whatever happens to the process afterwards."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(line):
        os.write(handle, f"{line}\n".encode())

    return write
