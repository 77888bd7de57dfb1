"""Runs a function of a test on several ranks of MPI, with a time limit, and gives back what each of them returned.

Run as a program under mpiexec it is one of these ranks: `python ranks.py FILE FUNCTION ARGUMENTS FOLDER`.
"""

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


def start(n_ranks, command, **more):
    """A process of mpiexec in a process group of its own, which `finish` waits for."""
    return subprocess.Popen(
        [launcher(), *launcher_options(), "-n", str(n_ranks), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, **ENVIRONMENT, **more},
    )


def finish(process, seconds=SECONDS):
    """(return code, output) of a run of mpiexec; AssertionError if it takes longer than `seconds`."""
    try:
        return process.communicate(timeout=seconds)[0], process.returncode
    except subprocess.TimeoutExpired:
        process.terminate()  # with which mpiexec ends its ranks
        try:
            output = process.communicate(timeout=10)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output = process.communicate()[0]
        raise AssertionError(f"ranks still waited after {seconds} s: {output}") from None


def on_ranks(n_ranks, function, *arguments, seconds=SECONDS):
    """What `function(comm, *arguments)` of a test module returns on each of `n_ranks` processes, in their order."""
    with tempfile.TemporaryDirectory() as folder:
        passed = Path(folder) / "arguments"
        passed.write_bytes(pickle.dumps(arguments))
        command = [sys.executable, __file__, inspect.getfile(function), function.__name__, str(passed), folder]
        output, code = finish(start(n_ranks, command), seconds)
        assert code == 0, output
        return [pickle.loads((Path(folder) / str(rank)).read_bytes()) for rank in range(n_ranks)]


def main(file, function, arguments, folder):
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    try:
        sys.path.insert(0, str(Path(file).parent))  # as pytest does
        spec = importlib.util.spec_from_file_location("program", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        returned = getattr(module, function)(comm, *pickle.loads(Path(arguments).read_bytes()))
        Path(folder, str(comm.Get_rank())).write_bytes(pickle.dumps(returned))
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        comm.Abort(1)  # otherwise the other ranks wait for this one


if __name__ == "__main__":
    main(*sys.argv[1:])
