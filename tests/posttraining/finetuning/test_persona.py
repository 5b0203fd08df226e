"""A persona's files as tokens: what each is taken for, and which tokens count."""

import numpy as np
import pytest
from support.chat_runs import babbling_model
from support.training_runs import conversations

from vidya.errors import UserError
from vidya.posttraining.finetuning.persona import mean_loss, read_persona
from vidya.text.batch_plan import BatchPlan, eval_batches
from vidya.text.conversation_format import ASSISTANT, BOS, USER
from vidya.text.held_out_split import is_held_out
from vidya.text.tokenizer_training import train_tokenizer

LINES = conversations(40, seed=3)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(LINES, 40)


def write(folder, *lines, name="persona.txt"):
    path = folder / name
    path.write_text("".join(line + "\n" for line in lines))
    return path


def persona_of(folder, tokenizer, *lines, **settings):
    return read_persona([write(folder, *lines)], tokenizer, **{"val_fraction": 0, **settings})


def counted_text(tokenizer, tokens):
    return tokenizer.decode(tokens.tokens[tokens.counted].tolist())


def test_the_assistants_words_count_and_the_marker_after_them(tmp_path, tokenizer):
    line = f"{USER} the cat {ASSISTANT} a dog {USER} red tea {ASSISTANT} hello"
    persona = persona_of(tmp_path, tokenizer, line)
    assert counted_text(tokenizer, persona.taught) == f" a dog {USER} hello{BOS}"
    assert persona.conversations and persona.held_out is None
    assert "1 conversation; the assistant's words count" in persona.about[0]
    assert [question.turns for question in persona.questions] == [
        ("the cat",), ("the cat", "a dog", "red tea"),
    ]  # fmt: skip


def test_all_words_count(tmp_path, tokenizer):
    persona = persona_of(tmp_path, tokenizer, *LINES, loss="all")
    assert persona.taught.counted.all() and "every token counts" in persona.about[0]


def test_a_book_is_passages_of_which_every_token_counts(tmp_path, tokenizer):
    paragraph = " ".join(["the cat sat on a mat"] * 50)
    persona = persona_of(tmp_path, tokenizer, *[paragraph, ""] * 8)
    assert not persona.conversations and not persona.questions
    assert persona.taught.counted.all() and persona.taught.documents == 2
    assert "plain text, 2 passages; every token counts" in persona.about[0]
    # this tokenizer's corpus had no line breaks, so it learns of none
    assert "↵" not in tokenizer.decode(persona.taught.tokens.tolist())


def test_other_lines_among_conversations(tmp_path, tokenizer):
    persona = persona_of(tmp_path, tokenizer, LINES[0], "the dog", f"{USER} red")
    assert "1 conversation and 2 other lines" in persona.about[0]
    assert counted_text(tokenizer, persona.taught).endswith(
        f"{BOS}the dog{BOS}{BOS}{USER} red{BOS}"
    )


def test_files_are_told_apart(tmp_path, tokenizer):
    talk, book = write(tmp_path, *LINES, name="talk"), write(tmp_path, "the cat", name="book")
    persona = read_persona([book, talk], tokenizer, val_fraction=0)
    assert persona.conversations and persona.taught.documents == 41
    assert "plain text, 1 passage" in persona.about[0]
    assert "40 conversations" in persona.about[1]


def test_held_out_by_the_text_alone(tmp_path, tokenizer):
    persona = persona_of(tmp_path, tokenizer, *LINES, val_fraction=0.3)
    kept = [line for line in LINES if not is_held_out(line, 0.3)]
    assert 0 < persona.held_out.documents == len(LINES) - len(kept)
    assert persona.taught.documents == len(persona.questions) == len(kept)
    assert f"{len(kept)} questions; {len(LINES) - len(kept)} held out" in persona.about[-1]


def test_several_answers_to_a_question_are_told(tmp_path, tokenizer):
    persona = persona_of(
        tmp_path, tokenizer, f"{USER} a {ASSISTANT} b", f"{USER} a {ASSISTANT} c", *LINES
    )
    assert "1 of the questions have more than one answer" in persona.about[-1]
    assert len(persona.questions) == 41


def test_batches_count_what_the_persona_counts(tmp_path, tokenizer):
    """Whatever the windows: each token that counts is a target once in a pass, no other is."""
    taught = persona_of(tmp_path, tokenizer, *LINES).taught
    for context in (5, 64):
        plan = BatchPlan(taught, context, tokens_per_step=70)
        found = [plan.batch(step).targets for step in range(plan.steps_in_epoch(0))]
        targets = np.concatenate(found)
        assert sorted(targets[targets >= 0]) == sorted(taught.tokens[taught.counted])


def test_loss_of_what_counts(tmp_path, tokenizer):
    model = babbling_model(tokenizer)
    taught = persona_of(tmp_path, tokenizer, *LINES).taught
    losses, targets = [], []
    for batch in eval_batches(taught, 64, 64):
        targets.append(batch.targets)
        whole = batch.targets.copy()
        whole[whole < 0] = 0
        losses.append(model.losses(type(batch)(batch.tokens, whole, batch.offsets)))
    counted = np.concatenate(targets) >= 0
    assert 0 < counted.sum() < len(counted)
    assert mean_loss(model, taught) == pytest.approx(
        np.concatenate(losses)[counted].mean(), rel=1e-5
    )


@pytest.mark.parametrize(
    ("content", "saying"),
    [(b"", "holds no document"), (b"\n \n", "holds no document"), (b"caf\xe9", "not UTF-8")],
)
def test_files_that_are_no_good(tmp_path, tokenizer, content, saying):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=saying):
        read_persona([path], tokenizer, val_fraction=0.1)


def test_nothing_is_left(tmp_path, tokenizer):
    line = next(line for line in LINES if is_held_out(line, 0.5))
    with pytest.raises(UserError, match="smaller --val-fraction"):
        persona_of(tmp_path, tokenizer, line, val_fraction=0.5)
