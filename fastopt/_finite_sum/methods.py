"""The methods that need a built-in objective, by name."""

from .saga_svrg import SAGA, SVRG
from .vw import VW

#: Name -> class.
FINITE_SUM_METHODS = {"saga": SAGA, "svrg": SVRG, "vw": VW}
