"""Writes the pages of the API reference, from the lists of public names that the package itself keeps.

Optimizers, objectives, schedules and methods are read from those lists. The other names of `fastopt` are listed here,
as they belong to different pages. `missing` returns the names without a page; a test checks that there are none.
"""

from dataclasses import dataclass
from pathlib import Path

import fastopt
import fastopt.data
import fastopt.distributed
import fastopt.linear_model

MODULES = (
    fastopt,
    fastopt.data,
    fastopt.distributed,
    fastopt.linear_model,
    fastopt.objectives,
    fastopt.plot,
    fastopt.schedules,
)
DATA = {
    "OPTIMIZERS": "Name -> class of every optimizer, a dict; the name is the class's in lower case.",
    "FINITE_SUM_METHODS": "Name -> class of the methods that need an objective of `fastopt.objectives`, a dict.",
    "__version__": "The version of the package, a str.",
    "addresses": "Name -> address of each function, an int.",
}
OPTIMIZER_CLASSES = [cls.__name__ for cls in fastopt.OPTIMIZERS.values()]


@dataclass(frozen=True)
class Page:
    """A page of the reference: some public names of one module."""

    file: str
    title: str
    text: str
    names: list
    module: str = "fastopt"


PAGES = [
    Page(
        "optimizers",
        "Optimizers",
        "In-place updates of NumPy arrays. The formulas side by side are in :doc:`/optimizers`.",
        ["Optimizer", *OPTIMIZER_CLASSES, "get_optimizer", "GradientStats", "OPTIMIZERS"],
    ),
    Page("minimize", "Minimizing", "SciPy's ``minimize`` for noisy objectives and sums.", ["minimize", "scipy_method"]),
    Page(
        "finite_sums",
        "Methods for finite sums",
        "Methods of `fastopt.minimize` that reduce the variance of gradients.",
        [*(cls.__name__ for cls in fastopt.FINITE_SUM_METHODS.values()), "FINITE_SUM_METHODS"],
    ),
    Page(
        "objectives",
        "fastopt.objectives",
        "Losses of linear models over dense and CSR data: see :doc:`/objectives`.",
        fastopt.objectives.__all__,
        "fastopt.objectives",
    ),
    Page(
        "schedules",
        "fastopt.schedules",
        "Callables from the number of steps already taken to the learning rate: see :doc:`/guide/learning_rates`.",
        fastopt.schedules.__all__,
        "fastopt.schedules",
    ),
    Page(
        "linear_model",
        "fastopt.linear_model",
        "Estimators of scikit-learn, which is needed for them: see :doc:`/linear_model`.",
        fastopt.linear_model.__all__,
        "fastopt.linear_model",
    ),
    Page(
        "distributed",
        "fastopt.distributed",
        "Several processes that compute together, over MPI: see :doc:`/distributed`.",
        fastopt.distributed.__all__,
        "fastopt.distributed",
    ),
    Page("sparse", "Sparse gradients", "See :doc:`/sparse`.", ["RowSparse"]),
    Page(
        "checkpoints",
        "Checkpoints",
        "See :doc:`/guide/checkpoints`.",
        ["save", "load", "load_result", "CheckpointError"],
    ),
    Page(
        "threads",
        "Threads and versions",
        "See :doc:`/guide/threads`.",
        ["threads", "set_num_threads", "get_num_threads", "show_versions", "__version__"],
    ),
    Page("compiled", "Compiled code", "See :doc:`/compiled`.", ["get_include"]),
    Page(
        "ctypes",
        "fastopt.ctypes",
        "The functions of the C interface for ctypes, numba and cffi: :doc:`/compiled` lists them.",
        ["addresses"],
        "fastopt.ctypes",
    ),
    Page("plot", "fastopt.plot", "Pictures of results, with matplotlib.", fastopt.plot.__all__, "fastopt.plot"),
    Page("data", "fastopt.data", "Data that come with the package.", fastopt.data.__all__, "fastopt.data"),
]

# Classes whose page lists methods; those of the optimizers are on the page of their base class.
CLASSES_WITH_MEMBERS = [
    "fastopt.Optimizer",
    "fastopt.GradientStats",
    "fastopt.RowSparse",
    "fastopt.schedules.reduce_on_plateau",
    "fastopt.distributed.ShardedOptimizer",
    "fastopt.distributed.ShardedTable",
    *(f"fastopt.linear_model.{name}" for name in fastopt.linear_model.__all__),
    *(f"fastopt.objectives.{name}" for name in fastopt.objectives.__all__),
]


def missing():
    """Public names of the package that no page has; its public modules have pages of their own."""
    shown = {f"{page.module}.{name}" for page in PAGES for name in page.names} | {page.module for page in PAGES}
    public = [f"{module.__name__}.{name}" for module in MODULES for name in module.__all__]
    return [name for name in public if name not in shown]


def text_of(page):
    """A page in reStructuredText: a table of links, each to a page made by autosummary."""
    documented = [name for name in page.names if name not in DATA]
    lines = [page.title, "=" * len(page.title), "", page.text, "", f".. currentmodule:: {page.module}", ""]
    lines += [".. autosummary::", "   :toctree: generated", "   :nosignatures:", ""]
    lines += [f"   {name}" for name in documented]
    for name in page.names:
        if name in DATA:
            lines += ["", f".. data:: {name}", "", f"   {DATA[name]}"]
    return "\n".join([*lines, ""])


def index_text():
    """The page that leads to the others."""
    title = "API reference"
    lines = [title, "=" * len(title), "", ".. toctree::", "   :maxdepth: 1", ""]
    return "\n".join([*lines, *(f"   {page.file}" for page in PAGES), ""])


def write_pages(app, config):
    """Write the pages that have changed; Sphinx reads no other again."""
    if missing():
        raise RuntimeError(f"docs/_ext/public_names.py: no page of the reference has {', '.join(missing())}.")
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    texts = {"index": index_text()} | {page.file: text_of(page) for page in PAGES}
    for name, text in texts.items():
        file = folder / f"{name}.rst"
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
    config.autosummary_context = {
        "classes_with_members": CLASSES_WITH_MEMBERS,
        "optimizers": [f"fastopt.{name}" for name in OPTIMIZER_CLASSES],
    }


def setup(app):
    app.connect("config-inited", write_pages)
    return {"parallel_read_safe": True}
