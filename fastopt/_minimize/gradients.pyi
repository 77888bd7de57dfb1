from typing import Any

from .._types import Array

__test__: dict[str, str]

def as_gradient(given: Any, x: Array) -> Any: ...
