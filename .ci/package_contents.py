"""What the archives hold, against the repository: package_contents.py SDIST WHEEL, in a clone."""

import subprocess
import sys
import tarfile
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import PurePosixPath

COMPILED, INCLUDED = ".pyx", (".pxd", ".pxi")
PUBLIC = PurePosixPath("fastopt/__init__.pxd")


def tracked():
    return set(subprocess.check_output(["git", "ls-files"], text=True).splitlines())


def in_sdist(path):
    with tarfile.open(path) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def in_wheel(path):
    """The files of a wheel, with those of its metadata apart."""
    with zipfile.ZipFile(path) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    metadata = {name for name in names if ".dist-info/" in name}
    return names - metadata, {name.partition("/")[2] for name in metadata}


def expected_in_wheel(files):
    """All of the package but its sources in Cython, those that others compile against apart, and the modules."""
    package = {PurePosixPath(name) for name in files if name.startswith("fastopt/")}
    sources = {path for path in package if path.suffix == COMPILED}
    left_out = sources | {path for path in package if path.suffix in INCLUDED and path != PUBLIC}
    return {str(path) for path in package - left_out} | {
        str(path.with_suffix(EXTENSION_SUFFIXES[0])) for path in sources
    }


def main(sdist, wheel):
    files = tracked()
    modules, metadata = in_wheel(wheel)
    faults = {
        "missing in the source archive": files - in_sdist(sdist),
        "missing in the wheel": expected_in_wheel(files) - modules,
        "unexpected in the wheel": modules - expected_in_wheel(files),
        "missing in the metadata": {"licenses/LICENSE", "entry_points.txt"} - metadata,
    }
    for fault, names in faults.items():
        for name in sorted(names):
            print(f"{fault}: {name}")
    print(f"{len(files)} files in the source archive, {len(modules)} in the wheel")
    return any(faults.values())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
