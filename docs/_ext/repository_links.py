"""Links of the Markdown files are paths in the repository; here they become links between the pages.

So one text serves both: a viewer of the repository follows the paths, and the site links to the page that is made of
the file. Files that are no pages (sources, tests) become downloads.
"""

import os
import re
from pathlib import Path

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
LINK = re.compile(r"(\]\()(?![a-z]+:|#|/)([^)#\s]+)(#[^)\s]*)?(\))")

# Files and folders outside the source folder of Sphinx, or without a page of their own name.
PAGES = {
    "CHANGELOG.md": "docs/changelog.md",
    "CONTRIBUTING.md": "docs/contributing.md",
    "asv_benchmarks/README.md": "docs/benchmarks.md",
    "csrc/README.md": "docs/kernels.md",
    "docs/adr": "docs/adr/index.md",
    "docs/examples": "docs/auto_examples/index.rst",
    "docs/performance": "docs/performance/README.md",
}


def page_of(path):
    """Where a path of the repository is found on the site, as a path of the repository again."""
    if path.startswith("docs/examples/plot_"):
        return path.replace("docs/examples/", "docs/auto_examples/").replace(".py", ".rst")
    return PAGES.get(path, path)


def rewritten(text, read_from, shown_in):
    """Make links that are relative to the folder `read_from` relative to `shown_in`."""

    def replace(match):
        path = os.path.relpath(os.path.normpath(read_from / match[2]), ROOT)
        target = os.path.relpath(ROOT / page_of(path), shown_in)
        return f"{match[1]}{target}{match[3] or ''}{match[4]}"

    return LINK.sub(replace, text)


def on_source_read(app, docname, source):
    file = Path(app.env.doc2path(docname))
    if file.suffix == ".md":
        source[0] = rewritten(source[0], file.parent, file.parent)


def on_include_read(app, relative_path, parent_docname, content):
    read_from = (Path(app.srcdir) / relative_path).resolve().parent
    content[0] = rewritten(content[0], read_from, Path(app.env.doc2path(parent_docname)).parent)


def setup(app):
    app.connect("source-read", on_source_read)
    app.connect("include-read", on_include_read)
    return {"parallel_read_safe": True}
