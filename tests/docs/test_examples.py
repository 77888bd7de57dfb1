"""The examples run, and so does every Python block of the README, of the user's guide and of two pages beside it."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

import fastopt

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("plot_*.py"))
GUIDE = [
    *("docs/index.md", "docs/objectives.md", "docs/sparse.md"),
    *(f"docs/guide/{path.name}" for path in (ROOT / "docs/guide").glob("*.md")),
]
NEEDS = re.compile(r"# needs: (\w+)\n")  # first line of a block
PRINTED_HERE = re.compile(r"^ *print\(.*\)  # (.*)$")
PRINTED_ABOVE = re.compile(r"^# (.*)$")


def line_of(match):
    return match.string.count("\n", 0, match.start()) + 1


def python_blocks(name):
    """The ```python blocks of a file, each with its line number as id."""
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [pytest.param(block[1], id=f"{name}:{line_of(block)}") for block in blocks]


@pytest.fixture
def no_figures_left():
    """Close what pyplot holds open after a test that draws."""
    yield
    if plt := sys.modules.get("matplotlib.pyplot"):
        plt.close("all")


def guide_blocks():
    return [block for name in sorted(GUIDE) for block in python_blocks(name)]


def run(code, **names):
    exec(compile(code, "<documentation>", "exec"), names)


def announced(code):
    """What a block says it prints: behind the print, or in comments of their own line at its end."""
    matches = (PRINTED_HERE.match(line) or PRINTED_ABOVE.match(line) for line in code.splitlines())
    return [match[1] for match in matches if match]


def test_there_is_something_to_run():
    assert EXAMPLES and python_blocks("README.md") and all(python_blocks(name) for name in GUIDE if "index" not in name)


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="the examples draw with matplotlib")
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example(path, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}  # or show() warns
    environment |= {"MPLBACKEND": "Agg", "FASTOPT_EXAMPLE_LINES": "500"}
    command = [sys.executable, "-W", "error", str(path)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("code", guide_blocks())
@pytest.mark.usefixtures("no_figures_left")
def test_guide(code, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    if needs := NEEDS.match(code):
        pytest.importorskip(needs[1])
        code = code[needs.end() :]
    run(code)
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == announced(code)


@pytest.fixture
def in_short():
    """The names that the block "In short" of the README does not define."""
    params = np.zeros(50)
    saved = fastopt.Adam(params, learning_rate=fastopt.schedules.cosine_decay(0.01, 1000)).state_dict()
    return {
        "np": np,
        "scipy": scipy,
        "fastopt": fastopt,
        "params": params,
        "grad": np.ones(50),
        "grad_row": np.eye(1, 50),
        "rows": np.array([3, 1, 3]),
        "values": np.ones(3),
        "saved": saved,
    }


@pytest.mark.parametrize("code", python_blocks("README.md"))
def test_readme(code, in_short, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where fastopt.save writes
    run(code, **({} if code.startswith("import") else in_short))
    assert capsys.readouterr().out.splitlines() == announced(code)
