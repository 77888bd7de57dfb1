"""Interleaved timing: what is compared runs turn by turn, and medians are reported.

Contenders with thread pools of their own go into processes of their own (`Contender`): a pool that spins after its work
would take the other's core.
"""

import multiprocessing
import os
import statistics
import time

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
WARM_UP_CALLS = 3
REST_SECONDS = 0.03  # between the turns of processes: idle threads of one spin for milliseconds on the cores of all


def seconds(run, repeats):
    """Seconds of one call, over `repeats` calls in a row."""
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats


def turn_length(run, least_seconds):
    """How many calls make a turn of `least_seconds`, after some that touch the memory for the first time."""
    seconds(run, WARM_UP_CALLS)
    return max(1, round(least_seconds / max(seconds(run, WARM_UP_CALLS), 1e-9)))


def interleaved(runs, rounds=15, least_seconds=2e-3):
    """Median seconds per call of each contender in the dict `runs`, measured in turns.

    A contender is a callable, or a `Contender` in its own process. It is called often enough in a turn to last
    `least_seconds`.
    """
    in_process = {name: Here(run) if not isinstance(run, Contender) else run for name, run in runs.items()}
    for run in in_process.values():
        run.prepare(least_seconds)
        run.rest()
    times = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in in_process.items():
            times[name].append(run.turn())
            run.rest()
    for run in in_process.values():
        run.close()
    return {name: statistics.median(each) for name, each in times.items()}


class Here:
    """A contender in this process."""

    def __init__(self, run):
        self.run = run

    def prepare(self, least_seconds):
        self.repeats = turn_length(self.run, least_seconds)

    def turn(self):
        return seconds(self.run, self.repeats)

    def rest(self):
        """Nothing spins that the next turn would not use itself."""

    def close(self):
        """Nothing to end."""


class Contender:
    """A contender in a process of its own, made there by `make(*arguments)`, which returns the callable."""

    def __init__(self, make, *arguments):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, make, arguments), daemon=True)
        self.process.start()

    def _ask(self, *request):
        self.pipe.send(request)
        answer = self.pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def prepare(self, least_seconds):
        self.repeats = self._ask("prepare", least_seconds)

    def turn(self):
        return self._ask("turn", self.repeats)

    def rest(self):
        time.sleep(REST_SECONDS)

    def close(self):
        self.pipe.close()
        self.process.join()


class TellingContender(Contender):
    """A contender whose `make(outcome, *arguments)` also sends one object down the pipe `outcome`, to be asked for.

    Libraries in its process find `threads` in their environment variables.
    """

    def __init__(self, threads, make, *arguments):
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))  # inherited, and read when they are loaded
        self.outcome, theirs = multiprocessing.get_context("spawn").Pipe(duplex=False)
        super().__init__(make, theirs, *arguments)
        theirs.close()  # so that the end of the process is noticed

    def told(self):
        try:
            return self.outcome.recv()
        except EOFError:
            return self._ask("turn", 1)  # raises what happened there


def _serve(pipe, make, arguments):
    try:
        run = make(*arguments)
    except Exception as error:
        pipe.send(error)
        raise
    while True:
        try:
            what, value = pipe.recv()
        except EOFError:
            return  # the other side is done
        run()  # wakes the threads, which slept while others had their turns
        pipe.send(turn_length(run, value) if what == "prepare" else seconds(run, value))
