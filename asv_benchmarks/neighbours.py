"""How much of the processors others took while something was measured: figures from a busy machine should say so."""

import os
import time
from pathlib import Path

IDLE_FIELDS = (3, 4)  # of the first line of /proc/stat: idle, and waiting for a disk
OWN_FIELDS = (11, 12)  # of /proc/PID/stat, after the name: in the program, and in the kernel for it


class Neighbours:
    """Watches from its making on. `process_ids` are those that measure, besides this one."""

    def __init__(self, process_ids):
        self.process_ids = [os.getpid(), *process_ids]
        self.start = self._now()

    def share(self):
        """Share of all processors that was neither idle nor ours, from 0 to 1; None where the system does not tell."""
        now = self._now()
        if self.start is None or now is None:
            return None
        seconds, busy, own = (after - before for after, before in zip(now, self.start, strict=True))
        return min(1.0, max(0.0, (busy - own) / (seconds * os.cpu_count())))

    def _now(self):
        """Seconds: of the clock, of all processors at work, and of our processes."""
        try:
            fields = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]))
            stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.process_ids]
        except OSError:
            return None
        ticks = os.sysconf("SC_CLK_TCK")
        busy = sum(fields) - sum(fields[each] for each in IDLE_FIELDS)
        own = sum(int(stat[each]) for stat in stats for each in OWN_FIELDS)
        return time.perf_counter(), busy / ticks, own / ticks
