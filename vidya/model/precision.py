"""What `--precision auto` means: the one place that decides it."""

from __future__ import annotations

import os
from typing import Literal, overload

from vidya import kernels
from vidya.errors import UserError

FORCED = "VIDYA_AUTO_PRECISION"
"""Environment variable that says what auto means, whatever the processor."""


@overload
def resolve_precision(asked: Literal["auto", "fp32", "bf16"]) -> Literal["fp32", "bf16"]: ...
@overload
def resolve_precision(
    asked: Literal["auto", "fp32", "bf16", "int8"],
) -> Literal["fp32", "bf16", "int8"]: ...
def resolve_precision(
    asked: Literal["auto", "fp32", "bf16", "int8"],
) -> Literal["fp32", "bf16", "int8"]:
    """The precision asked for; for auto the one that `FORCED` names, or bf16 where it is faster.

    Raises:
        UserError: `FORCED` names another.
    """
    if asked != "auto":
        return asked
    meant = os.environ.get(FORCED, "bf16" if kernels.has_bf16() else "fp32")
    if meant not in ("fp32", "bf16"):
        raise UserError(f"{FORCED} must be fp32 or bf16, not {meant!r}: correct or unset it")
    return "bf16" if meant == "bf16" else "fp32"
