"""Name, tags and size of wheels: wheel_form.py WHEEL..., with the interpreter that they were built with."""

import sys
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from packaging.tags import interpreter_name, interpreter_version, sys_tags
from packaging.utils import parse_wheel_filename

MOST_BYTES = 3_600_000  # with a copy of the OpenMP library; debug information alone would be ten times as much


def tags_within(wheel):
    """What the metadata in a wheel says of its tags, and whether it says that it is pure Python."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith(".dist-info/WHEEL")]
        lines = archive.read(name).decode().splitlines()
    fields = [tuple(line.split(": ", 1)) for line in lines if ": " in line]
    return {value for field, value in fields if field == "Tag"}, dict(fields)["Root-Is-Purelib"] == "true"


def modules_within(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return [name for name in archive.namelist() if name.endswith((".so", ".pyd")) and name.startswith("fastopt/")]


def faults_of(wheel):
    *_, named = parse_wheel_filename(wheel.name)
    within, is_pure = tags_within(wheel)
    here = interpreter_name() + interpreter_version()
    abis = {tag.abi for tag in sys_tags() if tag.interpreter == here}
    size = wheel.stat().st_size
    if size >= MOST_BYTES:
        yield f"{size:,} bytes, {MOST_BYTES:,} or more"
    if is_pure or any(tag.platform == "any" for tag in named):
        yield "is said to run on every platform"
    if {str(tag) for tag in named} != within:
        yield f"tags {sorted(map(str, named))} in the name, {sorted(within)} in the metadata"
    if {tag.interpreter for tag in named} != {here} or not {tag.abi for tag in named} <= abis - {"none", "abi3"}:
        yield f"is for {sorted(map(str, named))}, was built with {here}"
    if not named & set(sys_tags()):
        yield "cannot be installed where it was built"
    for module in modules_within(wheel):
        if not module.endswith(EXTENSION_SUFFIXES[0]):
            yield f"{module} does not end in {EXTENSION_SUFFIXES[0]}"


def main(wheels):
    found = {wheel: list(faults_of(Path(wheel))) for wheel in wheels}
    for wheel, faults in found.items():
        print(f"{Path(wheel).name}: {Path(wheel).stat().st_size:,} bytes", *faults, sep="\n    ")
    return any(found.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
