# Sourced by the scripts of this folder: a copy of the last commit, and virtual environments, both gone at the end.
# Needs Python 3.11 or newer, gcc and git.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# A root whose making was broken off has /proc and /sys of this machine mounted in it: they are not entered.
remove() { rm -rf --one-file-system "$@"; }

scratch=$(mktemp -d)
trap 'remove "$scratch"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

# tests NAME...: the files of these tests, wherever they are below tests/.
tests() { for name in "$@"; do find tests -name "test_$name.py" | grep . || echo "tests/test_$name.py"; done; }

# What a build decides: kernels, threads, sparse gradients, objectives and epochs. The rest of the tests is Python,
# the same in every build.
COMPILED_TESTS=$(tests rules state state_dict state_storage clip_norm nonfinite overflow subnormals memory threads \
    gradient_policies groups absent_gradients small_decay validation_gradients sparse_rules sparse_bits \
    sparse_formats sparse_memory sparse_validation sparse_hypothesis deferred deferred_groups \
    objectives objective_terms single_samples targets validate epochs epochs_runs epochs_storage epochs_faults \
    variance_reduced native state_machine)

# A copy without anything that a build left behind.
enter_clone() {
    git clone --quiet . "$scratch/clone"
    cd "$scratch/clone"
}

# A program that says what the tests run with, in cells of a table.
export VERSIONS='import sys, numpy, scipy
print(sys.version.split()[0], numpy.__version__, scipy.__version__, sep=" | ")'

# example FILE: the first piece of Python of a page.
example() { awk '/^```/ { if (inside) exit; inside = /python/; next } inside' "$1"; }

# enter_environment NAME PACKAGE...: make and activate a virtual environment.
enter_environment() {
    python3 -m venv "$scratch/$1"
    . "$scratch/$1/bin/activate"
    pip install --quiet "${@:2}"
}

# extra NAME: the packages of an extra in pyproject.toml, for where the package itself is installed already.
extra() {
    python3 -c "
import sys, tomllib
print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies'][sys.argv[1]])" "$1"
}

# enter_sanitized_environment NAME PACKAGE...: with the package itself under AddressSanitizer and
# UndefinedBehaviorSanitizer, which first find a planted overrun. What is run under them has LD_PRELOAD=$sanitizers.
# The interpreter itself is not sanitized: the run-time libraries come first, and Python's own allocator, which hides
# the bounds of what it gives out, is left aside. Interpreters leave memory to the end of the process: no leak check.
enter_sanitized_environment() {
    FASTOPT_SANITIZE=1 enter_environment "$@"
    sanitizers="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
    export PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
    echo "== the sanitizers are at work: a pass beyond the end of an array must be found"
    local overrun="import numpy as np; from fastopt import _core
_core.gauge(np.zeros(4096, np.uint8), [np.zeros(2048, np.uint8)], 1)"
    LD_PRELOAD=$sanitizers python -c "$overrun" 2> "$scratch/found" && { echo "nothing was found"; exit 1; }
    grep heap-buffer-overflow "$scratch/found"
}

# run_tests WHAT PYTEST-ARGUMENTS...: slow tests are not left out.
run_tests() {
    echo "== $1"
    python -m pytest --quiet -p no:cacheprovider -m "" "${@:2}"
}
