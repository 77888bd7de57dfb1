"""The documentation names what there is: public names in the reference, links and paths of files that exist."""

import importlib.util
import inspect
import re
import sys
import tomllib
from pathlib import Path

import pytest

import fastopt
import fastopt.data
import fastopt.linear_model

ROOT = Path(__file__).resolve().parents[2]
MODULES = (fastopt, fastopt.data, fastopt.linear_model, fastopt.objectives, fastopt.plot, fastopt.schedules)
PUBLIC = [getattr(module, name) for module in MODULES for name in module.__all__]
DOCUMENTED = [each for each in PUBLIC if inspect.isclass(each) or inspect.isroutine(each)]
PAGES = [*ROOT.glob("*.md"), ROOT / "csrc/README.md", *(ROOT / "docs").rglob("*.md")]
MARKDOWN = [*PAGES, ROOT / "asv_benchmarks/README.md", ROOT / "fastopt/data/README.md"]
FENCED = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"`((?:\.ci|asv_benchmarks|csrc|docs|fastopt|tests)/[^`\s]*)`")
EXAMPLE_RULES = ("NAME", "fromage", "signum")  # files of rules that the instructions for contributors add
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)(?:#([^)\s]*))?\)")


def extension(name):
    """A module of docs/_ext, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs/_ext" / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # where dataclasses look
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference():
    return extension("public_names")


@pytest.fixture(scope="module")
def repository_links():
    return extension("repository_links")


def test_pythons_that_were_run_are_named():
    """By the README and by the script that runs the tests on them, as by pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = re.findall(r"Python :: (3\.\d+)", " ".join(project["classifiers"]))
    assert project["requires-python"] == f">={versions[0]}"
    listed = re.search(r"tests are run on (.*?)\)", (ROOT / "README.md").read_text(encoding="utf-8"))[1]
    assert re.findall(r"3\.\d+", listed) == versions
    script = (ROOT / ".ci/platforms").read_text(encoding="utf-8")
    assert re.findall(r"\[(3\.\d+)\]=", script) == versions


def test_reference_has_every_public_name(reference):
    assert reference.missing() == []


def test_a_name_that_was_forgotten_is_reported(reference, monkeypatch):
    monkeypatch.setattr(reference, "PAGES", [page for page in reference.PAGES if page.file not in ("plot", "sparse")])
    assert reference.missing() == ["fastopt.RowSparse", "fastopt.plot", *sorted(
        f"fastopt.plot.{name}" for name in fastopt.plot.__all__
    )]  # fmt: skip


def test_reference_has_nothing_that_does_not_exist(reference):
    for page in reference.PAGES:
        module = importlib.import_module(page.module)
        for name in page.names:
            assert hasattr(module, name)
            assert f"   {name}\n" in reference.text_of(page) or f".. data:: {name}\n" in reference.text_of(page)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(path):
    for target, heading in LINK.findall(path.read_text(encoding="utf-8")):
        if target.startswith("api/"):  # made when the site is
            continue
        linked = path.parent / target
        assert linked.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles]


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_paths_in_backticks_exist(path):
    """Of `tests/x.py::test_y` the file; a pattern such as `plot_*.py` has to find one."""
    text = FENCED.sub("", path.read_text(encoding="utf-8"))
    named = [each.split("::")[0] for each in PATH.findall(text)]
    existing = [each for each in named if Path(each).stem not in EXAMPLE_RULES]
    assert [each for each in existing if not any(ROOT.glob(each.rstrip("/")))] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_of_text_fit_into_an_editor(path):
    """At most 120 characters; rows of tables and code may be longer, and so may a word that cannot be broken."""
    text = FENCED.sub("", path.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("|")]
    assert [line for line in lines if len(line) > 120 and " " in line[:120].strip()] == []


def test_links_of_the_repository_become_links_of_the_site(repository_links):
    text = "[a](csrc/README.md) [b](docs/sparse.md#lazy) [c](https://x.org/y.md) [d](docs/examples/plot_paths.py)"
    expected = "[a](kernels.md) [b](sparse.md#lazy) [c](https://x.org/y.md) [d](auto_examples/plot_paths.rst)"
    assert repository_links.rewritten(text, ROOT, ROOT / "docs") == expected
    assert (
        repository_links.rewritten("[a](../minimize.md)", ROOT / "docs/guide", ROOT / "docs/guide")
        == "[a](../minimize.md)"
    )


@pytest.mark.parametrize("each", DOCUMENTED, ids=lambda each: each.__name__)
def test_docstrings_are_complete(each):
    """Sections that numpydoc knows, every parameter described, and an example."""
    doc = inspect.getdoc(each)
    summary = doc.split("\n\n")[0]
    assert summary.endswith(".")
    if each in (fastopt.Optimizer, fastopt.CheckpointError):
        return
    assert "Examples\n--------\n" in doc
    described = re.findall(r"^(\*{0,2}\w+(?:, \w+)*) : |^(\*\*\w+)$", doc, re.MULTILINE)
    names = [name for found in described for name in (found[0] or found[1]).split(", ")]
    for name, parameter in inspect.signature(each).parameters.items():
        prefix = {parameter.VAR_KEYWORD: "**", parameter.VAR_POSITIONAL: "*"}.get(parameter.kind, "")
        assert prefix + name in names, name
