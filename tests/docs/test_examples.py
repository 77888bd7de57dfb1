"""The examples run, and so does every complete Python block of the README and of the documentation.

A block whose first line is `# mpiexec -n 2 python ...` runs on two ranks, where there is MPI. One whose first line is
`# needs: package` runs where the package is installed. One that begins with `# fragment:`
and says there what it leaves out runs only if `left_out` has the names that it needs.
"""

import importlib.util
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import ranks
import scipy.sparse

import fastopt

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("plot_*.py"))
FILES_SHOWN = ROOT / "docs/contributing.md"  # its blocks are files of the package, not programs
PAGES = [ROOT / "README.md", *sorted({*(ROOT / "docs").rglob("*.md")} - {FILES_SHOWN})]
PRINTED = {"plot_chunks.py": ["all files at once: MemoryError", "same bits: True"]}  # some lines of their output
NEEDS = re.compile(r"# needs: (\w+)\n")  # first line of a block
ON_RANKS = re.compile(r"# mpiexec -n (\d+) python \w+\.py\n")  # the same
FRAGMENT = re.compile(r"# fragment: leaves out \S.*\n")  # the same
PRINTED_HERE = re.compile(r"^ *print\(.*\)  # (.*)$")
PRINTED_ABOVE = re.compile(r"^# (.*)$")


def line_of(match):
    return match.string.count("\n", 0, match.start()) + 1


def python_blocks(path):
    """The ```python blocks of a file, each as (page, code) with its line number as id; also those of lists."""
    page = path.relative_to(ROOT).as_posix()
    blocks = re.finditer(r"^( *)```python\n(.*?)^\1```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [pytest.param(page, textwrap.dedent(block[2]), id=f"{page}:{line_of(block)}") for block in blocks]


@pytest.fixture
def no_figures_left():
    """Close what pyplot holds open after a test that draws."""
    yield
    if plt := sys.modules.get("matplotlib.pyplot"):
        plt.close("all")


def all_blocks():
    return [block for path in PAGES for block in python_blocks(path)]


def run(code, **names):
    exec(compile(code, "<documentation>", "exec"), names)


def announced(code):
    """What a block says it prints: behind the print, or in comments of their own line at its end."""
    matches = (PRINTED_HERE.match(line) or PRINTED_ABOVE.match(line) for line in code.splitlines())
    return [match[1] for match in matches if match]


def test_there_is_something_to_run():
    pages = {block.values[0] for block in all_blocks()}
    guide = {f"docs/guide/{path.name}" for path in (ROOT / "docs/guide").glob("*.md")} - {"docs/guide/index.md"}
    assert EXAMPLES and pages >= {"README.md", "docs/index.md", "docs/minimize.md", "docs/sparse.md", *guide}


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="the examples draw with matplotlib")
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example(path, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}  # or show() warns
    environment |= {"MPLBACKEND": "Agg", "FASTOPT_EXAMPLE_LINES": "500"}
    command = [sys.executable, "-W", "error", str(path)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {*done.stdout.splitlines()} > {*PRINTED.get(path.name, ())}
    assert not [*tmp_path.iterdir()]


def least_squares(w, X, y):
    residual = X @ w - y
    return residual @ residual / (2 * len(y)), X.T @ residual / len(y)


@pytest.fixture
def left_out():
    """Of each page, the names that its fragments leave out."""
    params, X = np.zeros(50), np.random.default_rng(0).standard_normal((200, 5))
    saved = fastopt.Adam(params, learning_rate=fastopt.schedules.cosine_decay(0.01, 1000)).state_dict()
    modules = {"np": np, "scipy": scipy, "fastopt": fastopt}
    gradients = {"grad": np.ones(50), "grad_row": np.eye(1, 50), "rows": np.array([3, 1, 3]), "values": np.ones(3)}
    problem = {"loss": least_squares, "w0": np.zeros(5), "X": X, "y": X @ np.ones(5)}
    return {
        "README.md": {**modules, **gradients, "params": params, "saved": saved},
        "docs/minimize.md": {**modules, **problem},
    }


@pytest.mark.parametrize(("page", "code"), all_blocks())
@pytest.mark.usefixtures("no_figures_left")
def test_page(page, code, left_out, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where fastopt.save writes
    monkeypatch.setenv("MPLBACKEND", "Agg")
    if on_ranks := ON_RANKS.match(code):
        pytest.importorskip("mpi4py")
        Path("program.py").write_text(code[on_ranks.end() :], encoding="utf-8")
        output, status = ranks.finish(ranks.start(int(on_ranks[1]), [sys.executable, "-m", "mpi4py", "program.py"]))
        assert (status, output.splitlines()) == (0, announced(code[on_ranks.end() :]))
        return
    fragment = FRAGMENT.match(code)
    if fragment and page not in left_out:
        pytest.skip("a fragment")
    if needs := NEEDS.match(code):
        pytest.importorskip(needs[1])
    if first := fragment or needs:
        code = code[first.end() :]
    run(code, **(left_out[page] if fragment else {}))
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == announced(code)
