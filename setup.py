"""Builds the extension modules; all metadata is in pyproject.toml.

Knows no optimizer by name: the C sources are whatever lies in csrc/. Environment:
FASTOPT_NO_OPENMP=1 builds without threads; FASTOPT_DEBUG=1 with the checks of Cython and the assertions of C;
FASTOPT_SANITIZE=1 the same under AddressSanitizer and UndefinedBehaviorSanitizer (gcc and clang).
"""

import glob
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

# No -march, no -ffast-math, and no contraction to fused multiply-add: results must be the same bits on every
# processor (docs/adr/0002). The instruction sets are chosen per function in csrc/core/variants.h. The file is that of
# the checks, too, and of clangd; its -I. is include_dirs here.
GNU_FLAGS = ["-O3", *(flag for flag in Path("csrc/compile_flags.txt").read_text().split() if not flag.startswith("-I"))]
# No debug information, which Python's own flags ask for: it is four times as large as the code. Hidden: functions of
# different files call each other directly.
GNU_FLAGS += ["-g0", "-fvisibility=hidden"]
# What makes modules smaller and nothing slower, by where sources begin; of gcc. Kernels are never unwound: no exception
# and no end of a thread passes through them, as through the modules that Cython makes, which keep their tables. The
# kernels of rules are most of the code. Copies of their loops for each choice of clipping and decay, and remainders of
# loops without a branch, make a third of it and save no time. Epochs and gradients are a few calls of C each.
# What was tried and costs time (docs/packaging.md): -O2 for rules, for csrc/finite_sum or for fastopt/_core.
SMALLER_FLAGS = {
    "csrc/": ["-fno-asynchronous-unwind-tables"],
    "csrc/rules/": ["-fno-unswitch-loops", "--param=max-completely-peeled-insns=60", "-fno-ipa-cp-clone"],
    "fastopt/_finite_sum/": ["-Os"],
}
MSVC_FLAGS = ["/std:c11", "/O2", "/fp:precise"]
DEBUG_FLAGS = ["-UNDEBUG", "-O1", "-g"]
SANITIZE_FLAGS = [
    "-g1",  # lines for reports; all of the debug information takes two thirds longer to compile
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=undefined",
    "-fno-omit-frame-pointer",
]


def asked_for(name):
    """Whether an environment variable asks for a kind of build."""
    return os.environ.get(name) == "1"


# Every access is checked before C is called; a debug build checks that this is so.
CHECKED = asked_for("FASTOPT_DEBUG") or asked_for("FASTOPT_SANITIZE")
CYTHON_DIRECTIVES = {
    "language_level": 3,
    "boundscheck": CHECKED,
    "wraparound": False,
    "initializedcheck": CHECKED,
    "nonecheck": CHECKED,
    "cdivision": True,
    "freethreading_compatible": True,  # docs/how_it_works.md has what keeps all state whole without the lock
}

OPENMP_PROBE = """
#include <omp.h>
int main(void)
{
    int threads = 0;
    #pragma omp parallel num_threads(2) reduction(+ : threads)
    threads += 1;
    return threads > 0 && omp_get_max_threads() > 0 ? 0 : 1;
}
"""
OPENMP_MISSING = """
fastopt needs OpenMP for its threads, and a small OpenMP program could not be {stage} with {flags}:
{error}
Install it (Debian: gcc with libgomp1; macOS: `brew install libomp` and set CPPFLAGS and LDFLAGS to it),
or build without threads by setting FASTOPT_NO_OPENMP=1.
"""


def openmp_flags(compiler_type):
    """Compile and link flags for OpenMP."""
    if compiler_type == "msvc":
        return ["/openmp"], []
    if sys.platform == "darwin":
        return ["-Xpreprocessor", "-fopenmp"], ["-lomp"]
    return ["-fopenmp"], ["-fopenmp"]


def probe_openmp(compiler, compile_flags, link_flags):
    """Compile, link and run a program with a parallel region, or end the build with what to do."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.c"
        source.write_text(OPENMP_PROBE)
        stage = "compiled"
        try:
            objects = compiler.compile([str(source)], output_dir=folder, extra_postargs=compile_flags)
            stage = "linked"
            compiler.link_executable(objects, "probe", output_dir=folder, extra_postargs=link_flags)
            if "_PYTHON_HOST_PLATFORM" not in os.environ:  # Python's own sign of a build for another machine
                stage = "run"
                subprocess.run([str(Path(folder) / "probe")], check=True, timeout=60)
        except Exception as error:
            flags = " ".join(compile_flags)
            raise SystemExit(OPENMP_MISSING.format(stage=stage, flags=flags, error=error)) from error


def files_behind(source, known):
    """A C file and all files of csrc that it includes, directly or not, also those that macros name as templates."""
    if source not in known:
        known.add(source)
        for name in re.findall(r'"([\w/.]+\.(?:h|c|def))"', Path(source).read_text(encoding="utf-8")):
            if (included := os.path.join("csrc", name)) not in known and os.path.exists(included):
                files_behind(included, known)
    return known


def is_current(compiled, source):
    """Whether an object file is newer than everything that it was compiled from."""
    if not os.path.exists(compiled):
        return False
    return all(os.path.getmtime(each) < os.path.getmtime(compiled) for each in files_behind(source, set()))


def accepts(compiler, flags):
    """Whether a compiler knows some flags."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "empty.c"
        source.write_text("")
        try:
            compiler.compile([str(source)], output_dir=folder, extra_postargs=["-Werror", *flags])
        except CompileError:
            return False
    return True


def compile_what_changed(compiler, force, smaller_flags):
    """Let a compiler work on as many sources at a time as there are processors, and only on those that have changed.

    All of csrc is one extension, which setuptools would compile as a whole.
    """
    compile_some = compiler.compile

    def compile_all(sources, output_dir=None, **options):
        def compile_one(source):
            (compiled,) = compiler.object_filenames([source], output_dir=output_dir)
            if force or not is_current(compiled, source):
                more = [flag for start in smaller_flags if source.startswith(start) for flag in smaller_flags[start]]
                postargs = [*(options.get("extra_postargs") or []), *more]
                compile_some([source], output_dir=output_dir, **options | {"extra_postargs": postargs})
            return compiled

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(compile_one, sources))

    compiler.compile = compile_all


class BuildExt(build_ext):
    """Adds the flags of the compiler at hand, and NumPy's headers only when something is built."""

    def build_extensions(self):
        import numpy

        msvc = self.compiler.compiler_type == "msvc"
        compile_flags, link_flags = list(MSVC_FLAGS if msvc else GNU_FLAGS), []
        if asked_for("FASTOPT_NO_OPENMP"):
            compile_flags += [] if msvc else ["-fopenmp-simd"]
        else:
            openmp = openmp_flags(self.compiler.compiler_type)
            probe_openmp(self.compiler, *openmp)
            compile_flags += openmp[0]
            link_flags += openmp[1]
        if CHECKED:
            compile_flags += DEBUG_FLAGS
        if asked_for("FASTOPT_SANITIZE"):
            compile_flags += SANITIZE_FLAGS
            link_flags += SANITIZE_FLAGS
        for extension in self.extensions:
            extension.include_dirs.append(numpy.get_include())
            extension.extra_compile_args += compile_flags
            extension.extra_link_args += link_flags
        # Object files stay for the next build of the same kind; `pip install -e .` would put them into a folder that
        # is gone afterwards.
        smaller_flags = {}
        if not (msvc or CHECKED):
            smaller_flags = {start: some for start, some in SMALLER_FLAGS.items() if accepts(self.compiler, some)}
        kind = repr((sys.version, numpy.__version__, compile_flags, smaller_flags))
        self.build_temp = os.path.join("build", "objects-" + hashlib.sha256(kind.encode()).hexdigest()[:12])
        compile_what_changed(self.compiler, self.force, smaller_flags)
        super().build_extensions()


C_SOURCES = sorted(glob.glob("csrc/**/*.c", recursive=True))
PUBLIC_HEADER = "fastopt/include/fastopt.h"
HEADERS = [PUBLIC_HEADER, *glob.glob("csrc/**/*.h", recursive=True), *glob.glob("csrc/**/*.def", recursive=True)]


def extension(source, c_sources=()):
    """An extension module of the package from its .pyx file."""
    module = Extension(
        source.removesuffix(".pyx").replace(os.sep, "."),
        [source, *c_sources],
        depends=[*HEADERS, *glob.glob("fastopt/**/*.px[di]", recursive=True)],
        include_dirs=["csrc"],
        define_macros=[
            ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
            ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION"),
        ],
    )
    module.cython_directives = CYTHON_DIRECTIVES
    return module


CORE = os.path.join("fastopt", "_core.pyx")

setup(
    ext_modules=[
        # The C sources are linked into one module; others reach them through it.
        extension(CORE, C_SOURCES),
        *(extension(source) for source in sorted(glob.glob("fastopt/**/*.pyx", recursive=True)) if source != CORE),
    ],
    cmdclass={"build_ext": BuildExt},
)
