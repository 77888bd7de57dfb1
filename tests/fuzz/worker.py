"""A process that runs sequences: `python worker.py JSON`, which names a folder and seeds; started by runner.py."""

import json
import os
import resource
import sys
import warnings

import memory

asked = json.loads(sys.argv[1])
warnings.simplefilter("ignore")
if not memory.sanitized():  # a sanitizer has fences of its own, and needs an address space without limits
    memory.put_up_the_fence(asked["libraries"])
    resource.setrlimit(resource.RLIMIT_AS, (16 * 2**30, resource.RLIM_INFINITY))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

from kinds import KINDS, kind_of  # noqa: E402
from sequence import Sequence, transcript_to  # noqa: E402

import fastopt  # noqa: E402
from fastopt import _core  # noqa: E402

fastopt.Muon._takes_vectors = True  # as in tests/cases.py
_core.always_share(True)  # threads, however busy the machine is
write = transcript_to(os.path.join(asked["folder"], "transcript"))
for seed in asked["seeds"]:
    write(f"== seed {seed} {kind_of(seed)}")
    KINDS[kind_of(seed)](Sequence(seed, write, asked["folder"], asked["libraries"]))
    write("== end")
