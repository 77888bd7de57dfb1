"""Check in the built extension that every kernel over whole arrays is vectorised as wide as its instruction set allows.

    python csrc/check_vectorised.py            (needs objdump, from binutils)
    OBJDUMP=aarch64-linux-gnu-objdump python csrc/check_vectorised.py FILE       (an extension built for AArch64)

Looks at the machine code, not at the compiler's word: each NAME_dense_FORM_DTYPE_ISA, and the
NAME_update_lines_FORM_DTYPE_ISA of rules over rows and columns of matrices, must do arithmetic on packed
registers of the expected width. Prints the kernels counted per instruction set; fails naming those that do not.
"""

import collections
import dataclasses
import os
import re
import shutil
import subprocess
import sys

KERNEL = re.compile(r"^[0-9a-f]+ <(\w+_(?:dense|update_lines)_\d+_(f32|f64)_(\w+?))>:$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Machine:
    """What disassembled code looks like: arithmetic on packed registers, those of each instruction set, jumps."""

    packed: str
    register: dict
    suffix: dict
    jump: str

    def is_packed(self, code, dtype, isa):
        return re.search(self.packed.format(suffix=self.suffix[dtype], register=self.register[isa]), code)

    def is_merged(self, code):
        """Whether the compiler found two kernels to be the same: then one is a jump to the other."""
        to_kernel = rf"\n\s*\w+:\s+{self.jump}\s+\w+ <\w+_(?:dense|update_lines)_\w+>"
        return re.match(to_kernel, code[code.index("\n") :])


#: By the name that objdump has for their object files.
MACHINES = {
    "elf64-x86-64": Machine(
        packed=r"\sv?(?:add|sub|mul|div|sqrt){suffix}\s.*%{register}",
        register={"baseline": "xmm", "v3": "ymm", "v4": "zmm"},
        suffix={"f32": "ps", "f64": "pd"},
        jump="jmp",
    ),
    "elf64-littleaarch64": Machine(
        packed=r"\sf(?:add|sub|mul|div|sqrt)\s+{register}\d+\.{suffix}",
        register={"baseline": "v"},
        suffix={"f32": "4s", "f64": "2d"},
        jump="b",
    ),
}


def disassembled(path):
    """The machine that an extension is for, and its functions."""
    objdump = os.environ.get("OBJDUMP", "objdump")
    if shutil.which(objdump) is None:
        sys.exit(f"{objdump} is not there; it is part of binutils.")
    command = [objdump, "--disassemble", "--no-show-raw-insn", path]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return MACHINES[re.search(r"file format (\S+)", listing)[1]], listing.split("\n\n")


def built_here():
    """The extension of the package that is installed."""
    from fastopt import _core

    return _core.__file__


def main(path):
    machine, functions = disassembled(path)
    counts, scalar = collections.Counter(), []
    for name, dtype, isa, code in ((*found.groups(), code) for code in functions if (found := KERNEL.match(code))):
        counts[isa] += 1
        if not machine.is_merged(code) and not machine.is_packed(code, dtype, isa):
            scalar.append(name)
    print(", ".join(f"{isa}: {n} kernels" for isa, n in sorted(counts.items())))
    expected = {isa: counts["baseline"] for isa in machine.register}
    if scalar or not counts or counts != expected:
        sys.exit(f"not vectorised: {', '.join(scalar) or 'kernels are missing'}")
    print("all are vectorised")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else built_here())
