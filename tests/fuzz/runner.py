"""Runs sequences in worker processes, notes how they end, and reports the findings."""

import collections
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kinds import ALONE, KINDS, kind_of

LONGEST_SEQUENCE = 30  # seconds; under a sanitizer on a busy machine some take a second
MOST_IN_A_PROCESS = 400
# A crash in these files is one of a call that the caller of fastopt could have made as well.
ELSEWHERE = ("/scipy/", "/numpy/")


class Worker:
    """A process that runs sequences one after the other, until it dies or has run all that it was given."""

    def __init__(self, seeds, folder):
        self.folder = tempfile.mkdtemp(dir=folder)
        self.transcript, self.errors = Path(self.folder) / "transcript", Path(self.folder) / "errors"
        self.seeds = seeds
        shared = {"folder": self.folder, "libraries": folder, "seeds": seeds}
        with open(self.errors, "wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", str(Path(__file__).with_name("worker.py")), json.dumps(shared)],
                stdout=errors, stderr=errors, start_new_session=True,
            )  # fmt: skip
        self.began, self.size = time.monotonic(), 0

    def over(self):
        """Whether it has ended; one that makes no progress is ended."""
        if self.process.poll() is not None:
            return True
        size = self.transcript.stat().st_size if self.transcript.exists() else 0
        if size != self.size:
            self.began, self.size = time.monotonic(), size
        if time.monotonic() - self.began > LONGEST_SEQUENCE:
            self.end()
            self.hangs = True
            return True
        return False

    hangs = False

    def end(self):
        """End the process and its children."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def sequences(self):
        """Pairs of a seed and the lines of its transcript."""
        text = self.transcript.read_text(errors="replace") if self.transcript.exists() else ""
        for part in text.split("== seed ")[1:]:
            seed, _, lines = part.partition("\n")
            yield int(seed.split()[0]), lines.splitlines()

    def findings(self):
        """Pairs of a severity and a description, with seed and transcript."""
        last = None
        for seed, lines in self.sequences():
            last = seed, lines
            for line in lines:
                if line.startswith("    FINDING ("):
                    severity, _, what = line.removeprefix("    FINDING (").partition("): ")
                    yield Finding(seed, severity, what, lines)
        if last is None and self.process.returncode:
            yield Finding(self.seeds[0], "crash", "the worker did not start: " + self.last_words()[-300:], [])
        elif last is not None and "== end" not in last[1]:
            yield Finding(last[0], *self.verdict(), last[1])

    def last_words(self):
        return self.errors.read_text(errors="replace")

    def verdict(self):
        """How the process has ended in the middle of a sequence, and whose fault it is."""
        if self.hangs:
            return "crash", "hang"
        said, code = self.last_words(), self.process.returncode
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"the process ended with status {code}"
        where = [match[1] for match in (PYTHON_FRAME.search(said), innermost(said)) if match]
        reports = [" ".join(filter(None, match.groups())) for match in REPORT.finditer(said)]
        elsewhere = "fence:" not in said and any(part in frame for part in ELSEWHERE for frame in where)
        return "elsewhere" if elsewhere else "crash", "; ".join([how, *reports[:1], *where])


PYTHON_FRAME = re.compile(r'(File "[^"]*", line .*)')
C_FRAME = re.compile(r"#\d+ 0x\w+ (in .*)")
# Without the addresses, which are other ones each time.
REPORT = re.compile(
    r"^(?:==\d+==ERROR: (AddressSanitizer: [\w-]+).*|(.*runtime error: .*?)(?: 0x\w+.*)?|((?:fence|libgomp): .*))$",
    re.M,
)


def innermost(said):
    """The innermost function of a sanitizer's report that is not one of the sanitizer."""
    frames = C_FRAME.finditer(said)
    return next((frame for frame in frames if "libsanitizer" not in frame[1]), None)


Finding = collections.namedtuple("Finding", "seed severity what lines")


def seeds_from(first, kinds):
    """Seeds of some kinds, from the first on."""
    while True:
        if kind_of(first) in kinds:
            yield first
        first += 1


def portions(first, kinds, size):
    """Lists of seeds, each for one process."""
    waiting = []
    for seed in seeds_from(first, kinds):
        if kind_of(seed) in ALONE:
            yield [seed]
            continue
        waiting.append(seed)
        if len(waiting) == size:
            yield waiting
            waiting = []


def run(first, seconds, kinds=tuple(KINDS), jobs=2):
    """Run sequences for some time; returns the findings, and how many sequences of each kind."""
    findings, counts, end = [], collections.Counter(), time.monotonic() + seconds
    source = portions(first, kinds, MOST_IN_A_PROCESS)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        workers, left = [], []
        while True:
            over = [worker for worker in workers if worker.over()]
            for worker in over:
                workers.remove(worker)
                done = collect(worker, findings, counts)
                rest = [seed for seed in worker.seeds if seed > done]
                left += [rest] if rest else []
            late = time.monotonic() > end
            while len(workers) < jobs and not late:
                workers.append(Worker(left.pop() if left else next(source), folder))
            if late:
                for worker in workers:
                    worker.end()
                    collect(worker, findings, counts, stopped=True)
                break
            time.sleep(0.02)
    return findings, counts


def replay(seed):
    """Run one sequence; returns its findings, its transcript and what the process said."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        worker = Worker([seed], folder)
        while not worker.over():
            time.sleep(0.02)
        transcript = [line for _, lines in worker.sequences() for line in lines]
        return [*worker.findings()], transcript, worker.last_words()


def collect(worker, findings, counts, stopped=False):
    """Add what a worker has found; returns the last seed that it has begun."""
    begun = [seed for seed, _ in worker.sequences()]
    counts.update(kind_of(seed) for seed in begun)
    for finding in worker.findings():
        if not (stopped and finding.severity == "crash"):  # it was ended by us
            findings.append(finding)
    return begun[-1] if begun else worker.seeds[-1]
