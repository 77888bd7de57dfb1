"""What asv runs: see the README beside this folder.

The suites share modules with the reports in that folder. asv imports this package and nothing beside it, so the folder
is added to the path here, at the end, where it hides nothing.
"""

import sys
from pathlib import Path

_FOLDER = str(Path(__file__).parents[1])
if _FOLDER not in sys.path:
    sys.path.append(_FOLDER)
