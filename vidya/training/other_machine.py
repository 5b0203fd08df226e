"""What differs where a run goes on from where it was: told, and where need be done without."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Set

from vidya.errors import UserError
from vidya.model.precision import resolve_precision
from vidya.system.processor import processor_name
from vidya.training.options import TrainOptions
from vidya.training.tensorboard import summary_writer


def tell_what_differs_here(
    options: TrainOptions, explicit: Set[str], say: Callable[[str], None], *,
    processor: str | None, auto_precision: bool,
) -> TrainOptions:  # fmt: skip
    """Say what is not as it was when a run was last trained.

    Args:
        options: with which it goes on.
        explicit: those of them that the user gives now.
        say: takes a line.
        processor: on which it was trained last, where that is known.
        auto_precision: whether the run was begun with what auto meant there.

    Returns:
        The options, without what this machine lacks and the user does not ask for now.

    Raises:
        UserError: the user asks for something that this machine lacks.
    """
    here = processor_name()
    if auto_precision and options.precision != (usual := resolve_precision("auto")):
        say(f"precision stays {options.precision}, as the run began (auto would be {usual} here)")
    if processor and processor != here:
        say(
            f"the processor was {processor} and is {here}: from here on numbers may differ from "
            "those of that one in their last digits"
        )
    if options.tensorboard:
        try:
            summary_writer()
        except UserError as error:
            if "tensorboard" in explicit:
                raise
            say(f"going on without TensorBoard ({error})")
            return dataclasses.replace(options, tensorboard=False)
    return options
