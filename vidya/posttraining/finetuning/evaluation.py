"""What a fine-tuned model is worth after some steps: in words, as a table and for the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vidya.measuring.held_out_loss import HeldOutLoss
from vidya.measuring.persona_scores import Count, PersonaScores, forgetting_line
from vidya.measuring.taught_recall import Recall
from vidya.terminal.tables import table_lines

LeftOut = Callable[[int], str]
"""What of the persona a score over so many questions says nothing about (`Persona.left_out`)."""


def says_all(_: int) -> str:
    """Nothing is left out."""
    return ""


@dataclass(frozen=True)
class PersonaEvaluation:
    """What the model was worth after some steps; None for what was not measured then."""

    step: int
    """Number of steps made by then."""
    persona_loss: float | None
    """Loss on the held-out part of the persona, nats per token that counts."""
    base: HeldOutLoss | None
    """Loss on held-out text of the corpus that it was trained on."""
    recall: Recall | None
    """How many of the questions that it is taught, or of a sample, it answers as taught."""
    scores: PersonaScores | None = None
    """What the persona is worth in every way of asking."""

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
            **({} if self.scores is None else self.scores.figures()),
        }


def in_words(
    one: PersonaEvaluation, first: PersonaEvaluation, left_out: LeftOut = says_all
) -> list[str]:
    """Lines that say what the persona is worth and what was forgotten, for people.

    Args:
        one: to be told.
        first: the one before any step.
        left_out: what of the persona a count leaves out.
    """
    lines = []
    if one.scores is not None:
        lines = one.scores.lines(left_out(one.scores.as_taught.questions))
    if one.base is not None and first.base is not None and one.step:
        lines.append(forgetting_line(first.base.bits_per_byte, one.base.bits_per_byte))
    return lines


def evaluation_table(
    evaluations: Sequence[PersonaEvaluation],
    kept: PersonaEvaluation | None,
    left_out: LeftOut = says_all,
) -> list[str]:
    """Lines that show what changed, without what was never measured; what was saved is marked."""
    rows = [["", "its text, loss", "other text, bits per byte", "answered as taught"]]
    for one in evaluations:
        when = f"step {one.step:,}" if one.step else "before"
        saved = ", saved" if one is kept else ""
        rows.append([when + saved, *evaluation_cells(one, evaluations[0], left_out)])
    columns = [one for one in zip(*rows, strict=True) if any(cell != "-" for cell in one[1:])]
    return [
        *table_lines([list(row) for row in zip(*columns, strict=True)]),
        "Lower is better, and more answers. Other text is what the model was trained on before: "
        "a rise is what it forgot.",
    ]


def evaluation_cells(
    one: PersonaEvaluation, first: PersonaEvaluation, left_out: LeftOut = says_all
) -> tuple[str, str, str]:
    """Persona loss, bits per byte of the base corpus with its change, questions answered.

    Args:
        one: to be shown.
        first: the one before any step.
        left_out: what of the persona a count leaves out: it stands with the count, and then
            there is no share, which would be one of a part.
    """
    loss = "-" if one.persona_loss is None else f"{one.persona_loss:.4f}"
    bits = recall = "-"
    if one.base is not None and first.base is not None:
        bits = f"{one.base.bits_per_byte:.4f}"
        change = one.base.bits_per_byte / first.base.bits_per_byte - 1
        bits += f" ({change:+.2%})" if one is not first else " " * len(" (+0.00%)")
    if one.recall is not None:
        answered, asked = one.recall.answered, one.recall.questions
        rest = left_out(asked)
        recall = f"{answered} of {asked} taught ({rest})" if rest else str(Count(answered, asked))
    return loss, bits, recall


def told(one: PersonaEvaluation, first: PersonaEvaluation, left_out: LeftOut = says_all) -> str:
    """The evaluation in one line, of what was measured alone."""
    loss, bits, answered = evaluation_cells(one, first, left_out)
    parts = [
        f"persona, held-out loss {loss}" * (loss != "-"),
        f"base corpus {bits.strip()} bits per byte" * (bits != "-"),
        f"answered as taught: {answered}" * (answered != "-"),
    ]
    when = f"step {one.step:,}" if one.step else "before"
    return f"{when}: " + ("; ".join(filter(None, parts)) or "nothing to measure on")
