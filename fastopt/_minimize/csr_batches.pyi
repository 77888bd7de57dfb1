from typing import Any, Self

from typing_extensions import disjoint_base

from .._types import Samples

__test__: dict[str, str]

@disjoint_base
class CsrSamples:
    shape: tuple[int, ...]
    def __new__(cls, matrix: Samples) -> Self: ...
    def __getitem__(self, rows: Any) -> Samples: ...
