"""From a commit, or the files as they lie there, to a folder from which its fastopt is imported.

Builds are kept under ~/.cache (or XDG_CACHE_HOME), by a digest of what they were made from: commits that differ in
their documents share one.
"""

import hashlib
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
WORKTREE = ("WORKTREE", ".")
COMPILED_FROM = ("csrc/", "fastopt/", "setup.py", "pyproject.toml")
COMPILER_VARIABLES = ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "FASTOPT_NO_OPENMP")


class BuildError(Exception):
    """A commit that does not exist or does not build; the message is for the user."""


def git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True)
    if done.returncode:
        raise BuildError(f"git {' '.join(arguments)}: {done.stderr.decode().strip()}")
    return done.stdout


def describe(revision):
    """The revision as a line of a report: its commit and subject."""
    if revision in WORKTREE:
        return "the files as they are now"
    return git("log", "-1", "--format=%h %s", revision, "--").decode().strip()


def export(revision, folder):
    """Write the files of the revision into an empty folder: a commit's, or those git would commit now."""
    if revision not in WORKTREE:
        commit = git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").decode().strip()
        with tarfile.open(fileobj=io.BytesIO(git("archive", commit))) as archive:
            archive.extractall(folder, filter="data")
        return
    for name in git("ls-files", "-z", "--cached", "--others", "--exclude-standard").decode().split("\0"):
        source = REPOSITORY / name
        if name and source.is_file():  # a deleted file is still in the index
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def digest(folder):
    """A name for what comes out when these files are built here."""
    surroundings = [platform.platform(), sys.version, *(os.environ.get(name, "") for name in COMPILER_VARIABLES)]
    found = hashlib.sha256("\0".join(surroundings).encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name.startswith(COMPILED_FROM):
            found.update(f"\0{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:20]


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fastopt-regressions"


def installed(revision):
    """The folder from which the fastopt of a revision is imported; built if it is not there yet."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "source"
        source.mkdir()
        export(revision, source)
        folder = cache() / digest(source)
        if not folder.is_dir():
            print(f"building {revision} ...", file=sys.stderr, flush=True)
            target = Path(scratch) / "target"
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(source)]
            done = subprocess.run(pip, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode:
                raise BuildError(f"{revision} does not build:\n{done.stdout.strip()}")
            folder.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(target, folder)
    return folder
