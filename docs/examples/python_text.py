"""Text for the examples: the lines of Python's standard library, as tokens.

The label of a line says whether it is part of a docstring. Nothing is downloaded; what is found differs between
versions of Python. FASTOPT_EXAMPLE_LINES in the environment is an upper limit of the number of lines.
"""

import ast
import itertools
import os
import re
import sysconfig
import warnings
import zlib
from pathlib import Path

import numpy as np
import scipy.sparse

BUCKETS = 2**20
TOKEN = re.compile(r"\w+|[^\w\s]")  # a word or number, or one punctuation mark
LEFT_OUT = {"test", "tests", "idle_test", "site-packages", "dist-packages"}  # not every installation has them
MAY_HAVE_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def source_files():
    """Python files of the standard library, in the same order everywhere."""
    library = Path(sysconfig.get_path("stdlib"))
    found = (path.relative_to(library) for path in library.rglob("*.py"))
    return [library / path for path in sorted(found) if not LEFT_OUT.intersection(path.parts)]


def docstring_lines(tree):
    """Numbers, from 1, of the lines of all docstrings, as the syntax tree has them."""
    documented = (node for node in ast.walk(tree) if isinstance(node, MAY_HAVE_DOCSTRING))
    first = [node.body[0] for node in documented if ast.get_docstring(node, clean=False) is not None]
    return {number for node in first for number in range(node.lineno, node.end_lineno + 1)}


def labelled_lines(path):
    """Pairs (tokens, is it in a docstring) of the lines of a file that have two tokens or more."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about somebody else's escapes
            inside = docstring_lines(ast.parse(text))
    except SyntaxError:  # a file in an old encoding, or a template
        return []
    pairs = ((TOKEN.findall(line), number in inside) for number, line in enumerate(text.split("\n"), 1))
    return [(tokens, label) for tokens, label in pairs if len(tokens) >= 2]


def sample_lines(n_lines, lines_per_file, rng):
    """Up to n_lines labelled lines, file after file in random order, few of each to see many authors."""
    n_lines = min(n_lines, int(os.environ.get("FASTOPT_EXAMPLE_LINES", n_lines)))
    files, sample = source_files(), []
    for k in rng.permutation(len(files)):
        lines = labelled_lines(files[k])
        sample += [lines[i] for i in rng.permutation(len(lines))[:lines_per_file]]
        if len(sample) >= n_lines:
            break
    return sample[:n_lines]


def buckets(tokens):
    """Buckets of the tokens of a line and of its pairs of neighbours, by a hash that is the same in every run."""
    pairs = [f"{a} {b}" for a, b in itertools.pairwise(tokens)]
    return [zlib.crc32(each.encode()) % BUCKETS for each in tokens + pairs]


def design_matrix(lines):
    """One row per line, in CSR format: how often each bucket was hit."""
    columns = [buckets(tokens) for tokens, _ in lines]
    indptr = np.cumsum([0, *map(len, columns)], dtype=np.int32)
    indices = np.concatenate(columns).astype(np.int32)
    return scipy.sparse.csr_array((np.ones(len(indices), np.float32), indices, indptr), shape=(len(lines), BUCKETS))


def labels(lines):
    """1 for a line in a docstring, else 0."""
    return np.array([label for _, label in lines], np.float32)
