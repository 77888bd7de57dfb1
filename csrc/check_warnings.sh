#!/bin/sh
# Compile every C file with all warnings as errors, with OpenMP and with assertions. CC names the compiler.
set -eu
cd "$(dirname "$0")"
for source in */*.c; do
    for variant in "-fopenmp -DNDEBUG" -fopenmp-simd; do
        "${CC:-cc}" $(cat compile_flags.txt) -O3 -fPIC $variant \
            -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror -c "$source" -o /dev/null
    done
done
echo "csrc: no warnings"
