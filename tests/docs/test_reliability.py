"""docs/reliability.md names tests that exist."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "reliability.md"


def named():
    """(file, test) pairs of the page's tables; `::test` belongs to the file named before it, a script has no test."""
    pairs, file = [], None
    for name in re.findall(r"`((?:tests/)?\w*\.py(?:::\w+)?|::\w+)`", PAGE.read_text()):
        before, _, test = name.partition("::")
        file = before or file
        pairs.append((file, test))
    return pairs


def functions(file):
    """Names of the tests of a file, wherever it is below tests/; None if it is not there."""
    paths = [path for path in TESTS.rglob("*.py") if path.name == file.removeprefix("tests/")]
    if len(paths) != 1:
        return None
    body = ast.parse(paths[0].read_text()).body
    return {node.name for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_test_that_is_named_exists():
    pairs = named()
    assert len(pairs) > 100
    tests = {file: functions(file) for file, _ in pairs}
    assert [file for file, found in tests.items() if found is None] == []
    assert [f"{file}::{test}" for file, test in pairs if test and test not in tests[file]] == []


def test_every_row_names_a_test():
    faults, _ = PAGE.read_text().split("## Long runs")
    rows = [line for line in faults.splitlines() if line.startswith("| ") and not line.startswith("| fault")]
    assert len(rows) > 25
    assert [row for row in rows if not re.search(r"(::test_\w+|tests/\w+\.py)` \||`tests/\w+\.py`", row)] == []
