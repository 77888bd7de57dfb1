"""Check in the built extension that every kernel over whole arrays is vectorised as wide as its instruction set allows.

    python csrc/check_vectorised.py            (needs objdump, from binutils)

Looks at the machine code, not at the compiler's word: each NAME_dense_FORM_DTYPE_ISA, and the
NAME_update_lines_FORM_DTYPE_ISA of rules over rows and columns of matrices, must do arithmetic on packed
registers of the expected width. Prints the kernels counted per instruction set; fails naming those that do not.
"""

import collections
import re
import shutil
import subprocess
import sys

from fastopt import _core

REGISTER = {"baseline": "xmm", "v3": "ymm", "v4": "zmm"}
SUFFIX = {"f32": "ps", "f64": "pd"}
# The compiler found two kernels to be the same.
MERGED = re.compile(r"\n\s*\w+:\s+jmp\s+\w+ <\w+_(?:dense|update_lines)_\w+>")
KERNEL = re.compile(r"^[0-9a-f]+ <(\w+_(?:dense|update_lines)_\d+_(f32|f64)_(\w+?))>:$", re.MULTILINE)


def kernels():
    """Yield name, dtype, instruction set and disassembly of each of these kernels in the extension."""
    listing = subprocess.run(
        ["objdump", "--disassemble", "--no-show-raw-insn", _core.__file__], capture_output=True, text=True, check=True
    ).stdout
    for function in listing.split("\n\n"):
        found = KERNEL.match(function)
        if found:
            yield *found.groups(), function


def main():
    if shutil.which("objdump") is None:
        sys.exit("objdump is not there; it is part of binutils.")
    counts, scalar = collections.Counter(), []
    for name, dtype, isa, code in kernels():
        packed = rf"\sv?(?:add|sub|mul|div|sqrt){SUFFIX[dtype]}\s.*%{REGISTER[isa]}"
        counts[isa] += 1
        if not MERGED.match(code, code.index("\n")) and not re.search(packed, code):
            scalar.append(name)
    print(", ".join(f"{isa}: {n} kernels" for isa, n in sorted(counts.items())))
    expected = {isa: counts["baseline"] for isa in _core.isa_names()}
    if scalar or not counts or counts != expected:
        sys.exit(f"not vectorised: {', '.join(scalar) or 'kernels are missing'}")
    print("all are vectorised")


if __name__ == "__main__":
    main()
