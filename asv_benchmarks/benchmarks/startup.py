"""What `import fastopt` adds to a program that has imported NumPy."""

import statistics
import subprocess
import sys

IMPORTS = """
import sys, time
import numpy
modules, start = len(sys.modules), time.perf_counter()
import fastopt
print(time.perf_counter() - start, len(sys.modules) - modules)
"""
PROCESSES = 11


def _seconds_and_modules():
    done = subprocess.run([sys.executable, "-c", IMPORTS], check=True, capture_output=True, text=True)
    seconds, modules = done.stdout.split()
    return float(seconds), int(modules)


class Import:
    unit = "seconds"
    version = "2"

    def setup_cache(self):
        return [_seconds_and_modules() for _ in range(PROCESSES)]

    def track_seconds(self, measured):
        return statistics.median(seconds for seconds, _ in measured)

    def track_modules(self, measured):
        return measured[0][1]

    track_modules.unit = "modules"
    track_modules.version = "2"
