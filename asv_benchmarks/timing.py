"""Interleaved timing: what is compared runs turn by turn in one process, and medians are reported."""

import statistics
import time


def seconds(run, repeats):
    """Seconds of one call, over `repeats` calls in a row."""
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats


def interleaved(runs, rounds=15, least_seconds=2e-3):
    """Median seconds per call of each callable in the dict `runs`, measured in turns.

    Each is called often enough in a turn to last `least_seconds`.
    """
    repeats = {}
    for name, run in runs.items():
        run()
        repeats[name] = max(1, round(least_seconds / max(seconds(run, 3), 1e-9)))
    times = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(seconds(run, repeats[name]))
    return {name: statistics.median(each) for name, each in times.items()}
