"""What a fine-tuned model is worth after some steps, and the table that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vidya.measuring.held_out_loss import HeldOutLoss
from vidya.measuring.taught_recall import Recall
from vidya.terminal.formatting import aligned_rows


@dataclass(frozen=True)
class PersonaEvaluation:
    """What the model was worth after some steps; None for what there is nothing to measure on."""

    step: int
    """Number of steps made by then."""
    persona_loss: float | None
    """Loss on the held-out part of the persona, nats per token that counts."""
    base: HeldOutLoss | None
    """Loss on held-out text of the corpus that it was trained on."""
    recall: Recall | None
    """How many of the questions that it is taught to answer it answers so."""

    def line(self) -> dict[str, object]:
        """The evaluation as a line of the log."""
        base, recall = self.base, self.recall
        return {
            "step": self.step,
            "persona_loss": self.persona_loss,
            "base_loss": base and base.loss,
            "base_bpb": base and base.bits_per_byte,
            "questions": recall and recall.questions,
            "answered": recall and recall.answered,
            "exact": recall and recall.exact,
            "f1": recall and recall.f1,
        }


def evaluation_table(
    evaluations: Sequence[PersonaEvaluation], kept: PersonaEvaluation | None, left_out: str = ""
) -> list[str]:
    """Lines that show what changed; the row of the weights that were saved is marked."""
    rows = [["", "persona loss", "base bits per byte", "answered as taught"]]
    for one in evaluations:
        when = f"step {one.step:,}" if one.step else "before"
        rows.append([when, *evaluation_cells(one, evaluations[0], left_out)])
    marks = ["", *("  <- saved" * (one is kept) for one in evaluations)]
    return [line + mark for line, mark in zip(aligned_rows(rows, ""), marks, strict=True)]


def evaluation_cells(
    one: PersonaEvaluation, first: PersonaEvaluation, left_out: str = ""
) -> tuple[str, str, str]:
    """Persona loss, bits per byte of the base corpus with its change, questions answered.

    Args:
        one: to be shown.
        first: the one before any step.
        left_out: what of the persona the questions leave out (`Persona.left_out`): it stands
            with every count, and then there is no share, which would be one of a part.
    """
    loss = "-" if one.persona_loss is None else f"{one.persona_loss:.4f}"
    bits = recall = "-"
    if one.base is not None and first.base is not None:
        bits = f"{one.base.bits_per_byte:.4f}"
        change = one.base.bits_per_byte / first.base.bits_per_byte - 1
        bits += f" ({change:+.2%})" if one is not first else " " * len(" (+0.00%)")
    if one.recall is not None:
        answered, asked = one.recall.answered, one.recall.questions
        share = f"{min(one.recall.share, 0.99) if answered < asked else 1:.0%}"
        recall = f"{answered} of {asked} " + (f"taught ({left_out})" if left_out else f"({share})")
    return loss, bits, recall
