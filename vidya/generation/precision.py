"""The numbers in which the weights of a model that writes are kept.

Nothing heavy is imported: options of commands are described with these.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

WeightPrecision: TypeAlias = Literal["fp32", "bf16", "int8"]
WEIGHT_PRECISIONS: tuple[WeightPrecision, ...] = get_args(WeightPrecision)
