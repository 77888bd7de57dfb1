"""Runs a function of a test on several ranks of MPI, with a time limit, and gives back what each of them returned.

Run as a program under mpiexec it is one of these ranks: `python ranks.py FOLDER`, where it has a pipe for its tasks.
"""

import atexit
import functools
import importlib.util
import inspect
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parent
SECONDS = 100
# Ranks that wait let others compute: there are more of them than cores.
ENVIRONMENT = {"PYTHONPATH": f"{TESTS}", "OMP_NUM_THREADS": "1", "OMPI_MCA_mpi_yield_when_idle": "1"}


def launcher():
    """The mpiexec of this environment, or the first one on the path, or None."""
    beside = Path(sys.executable).with_name("mpiexec")
    return str(beside) if beside.exists() else shutil.which("mpiexec")


@functools.cache
def launcher_options():
    """Open MPI counts cores, and does not like root; MPICH does neither."""
    text = subprocess.run([launcher(), "--version"], capture_output=True, text=True, check=True, timeout=SECONDS).stdout
    return ["--oversubscribe", "--allow-run-as-root"] if "Open MPI" in text else []


def start(n_ranks, command, output=subprocess.PIPE, **more):
    """A process of mpiexec in a process group of its own, which `finish` waits for."""
    return subprocess.Popen(
        [launcher(), *launcher_options(), "-n", str(n_ranks), *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, **ENVIRONMENT, **more},
    )


def end(process):
    """End ranks that may wait for each other -> what they had printed."""
    process.terminate()  # with which mpiexec ends its ranks
    try:
        return process.communicate(timeout=10)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0]


def finish(process, seconds=SECONDS):
    """(output, return code) of a run of mpiexec; AssertionError if it takes longer than `seconds`."""
    try:
        return process.communicate(timeout=seconds)[0], process.returncode
    except subprocess.TimeoutExpired:
        raise AssertionError(f"ranks still waited after {seconds} s: {end(process)}") from None


class Pool:
    """Ranks that run one function after the other: starting Python and MPI for each would take most of the time."""

    def __init__(self, n_ranks):
        self.folder = tempfile.TemporaryDirectory()
        self.pipes = [Path(self.folder.name) / f"pipe{rank}" for rank in range(n_ranks)]
        for pipe in self.pipes:
            os.mkfifo(pipe)
        self.output = Path(self.folder.name) / "output"
        with self.output.open("w") as output:
            self.process = start(n_ranks, [sys.executable, __file__, self.folder.name], output)

    def run(self, function, arguments, seconds):
        """What the function returns on each rank; AssertionError with their output if one fails, or takes too long."""
        with tempfile.TemporaryDirectory() as folder:
            task = pickle.dumps((inspect.getfile(function), function.__name__, pickle.dumps(arguments), folder))
            results = [Path(folder) / str(rank) for rank in range(len(self.pipes))]
            limit = time.monotonic() + seconds
            for pipe in self.pipes:
                self._send(pipe, task, limit, seconds)
            while not all(result.exists() for result in results):
                self._check(limit, seconds)
            return [pickle.loads(result.read_bytes()) for result in results]

    def _send(self, pipe, task, limit, seconds):
        """Without waiting for a rank that does not read: it may have ended."""
        while True:
            try:
                handle = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
                break
            except OSError:  # not opened by the rank yet
                self._check(limit, seconds)
        os.set_blocking(handle, True)
        with open(handle, "wb") as file:
            file.write(task)

    def _check(self, limit, seconds):
        """Between two looks at what ranks do: whether they still may."""
        if self.process.poll() is not None:
            raise AssertionError(self.output.read_text())
        if time.monotonic() > limit:
            raise AssertionError(f"ranks still waited after {seconds} s: {self.output.read_text()}")
        time.sleep(0.002)

    def end(self):
        end(self.process)
        self.folder.cleanup()


pools = {}  # by the number of ranks; a pool that failed is none any more


def on_ranks(n_ranks, function, *arguments, seconds=SECONDS):
    """What `function(comm, *arguments)` of a test module returns on each of `n_ranks` processes, in their order."""
    pool = pools.pop(n_ranks, None) or Pool(n_ranks)
    try:
        returned = pool.run(function, arguments, seconds)
    except BaseException:
        pool.end()
        raise
    pools[n_ranks] = pool
    return returned


@atexit.register
def end_pools():
    while pools:
        pools.popitem()[1].end()


def run_task(comm, file, function, arguments, folder):
    """One function, of a module that is loaded anew: what it returns appears whole in a file."""
    if str(Path(file).parent) not in sys.path:
        sys.path.insert(0, str(Path(file).parent))  # as pytest does
    spec = importlib.util.spec_from_file_location("program", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    returned = getattr(module, function)(comm, *pickle.loads(arguments))
    path = Path(folder, str(comm.Get_rank()))
    path.with_suffix(".part").write_bytes(pickle.dumps(returned))
    path.with_suffix(".part").rename(path)


def main(folder):
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    try:
        while True:
            run_task(comm, *pickle.loads(Path(folder, f"pipe{comm.Get_rank()}").read_bytes()))
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        comm.Abort(1)  # otherwise the other ranks wait for this one


if __name__ == "__main__":
    main(*sys.argv[1:])
