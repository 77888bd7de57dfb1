"""What steps of many ranks should take, from what messages and computing cost on this machine.

    python asv_benchmarks/scale_report.py               (a minute; alone on the machine; needs mpi4py and an mpiexec)
    python asv_benchmarks/scale_report.py --ranks 2     (some of it; what was measured before is kept)
    python asv_benchmarks/scale_report.py --page        (measures nothing)

scale_measure.py runs on 1 and 2 ranks, and on 4, which may be more than there are cores. scale_model.py has the model,
and scale_page.py writes docs/performance/scale.md and scale.png. The figures they are made from are in scale.json.
"""

import argparse
import importlib.metadata
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))
import ranks  # noqa: E402
import scale_page  # noqa: E402

N_RANKS = (1, 2, 4)
PACKAGES = ("fastopt", "numpy", "mpi4py")
SECONDS = 300


def measured(n_ranks):
    """Seconds by name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seconds.json"
        program = Path(__file__).with_name("scale_measure.py")
        # Ranks that wait spin, unless others need the core.
        idle = {"OMPI_MCA_mpi_yield_when_idle": str(int(n_ranks > scale_page.n_cores()))}
        output, code = ranks.finish(ranks.start(n_ranks, [sys.executable, str(program), str(path)], **idle), SECONDS)
        if code:
            raise RuntimeError(output)
        return json.loads(path.read_text())


def library():
    """Name and version of the MPI."""
    from mpi4py import MPI

    return MPI.Get_library_version().split(",")[0].strip()


def main(argv=None):
    it = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    it.add_argument("--ranks", nargs="+", type=int, choices=N_RANKS, default=N_RANKS, help="numbers of ranks")
    it.add_argument("--page", action="store_true", help="measure nothing: make page and chart from scale.json again")
    arguments = it.parse_args(argv)
    kept = scale_page.load()
    for n_ranks in () if arguments.page else arguments.ranks:
        kept["seconds"][str(n_ranks)] = measured(n_ranks)
        versions = {name: importlib.metadata.version(name) for name in PACKAGES}
        kept["machine"] = {"processor": scale_page.processor(), "mpi": library(), "versions": versions}
    if not arguments.page:
        scale_page.keep(kept)
    scale_page.write(kept)
    return 0


if __name__ == "__main__":
    sys.exit(main())
