"""A persona's files as tokens: what each is taken for, and which tokens count."""

import numpy as np
import pytest
from support.chat_runs import babbling_model
from support.layouts import LAYOUTS
from support.small_tokenizer import without_normaliser
from support.training_runs import conversations

from vidya.errors import UserError
from vidya.generation.chat_tokens import chat_prompt
from vidya.measuring.taught_recall import questions_of
from vidya.posttraining.finetuning.persona import mean_loss, read_persona
from vidya.text.batch_plan import BatchPlan, eval_batches
from vidya.text.conversation_format import ASSISTANT, BOS, USER, on_one_line
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
    assert "1 question with more than one answer" in persona.about[-1]
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
    with pytest.raises(UserError, match=r"0\.5 holds out all 1 of the documents.*leave it out"):
        persona_of(tmp_path, tokenizer, line, val_fraction=0.5)


# ---- small files -------------------------------------------------------------------------


def test_nothing_is_held_out_of_small_files(tmp_path, tokenizer):
    line = next(line for line in LINES if is_held_out(line, 0.1))
    persona = persona_of(tmp_path, tokenizer, line, val_fraction=None)
    assert persona.held_out is None and len(persona.questions) == 1 and persona.val_fraction == 0
    assert persona.about[-1].endswith("; nothing held out (--val-fraction does)")
    assert "1 document," in persona.about[-1] and "1 question;" in persona.about[-1]
    few, many = conversations(999, seed=5), conversations(1000, seed=5)
    assert any(is_held_out(line, 0.1) for line in few)
    assert persona_of(tmp_path, tokenizer, *few, val_fraction=None).taught.documents == 999
    persona = persona_of(tmp_path, tokenizer, *many, val_fraction=None)
    assert persona.taught.documents == 1000 - sum(is_held_out(line, 0.1) for line in many)
    assert persona.val_fraction == 0.1


def test_nor_of_a_few_passages(tmp_path, tokenizer):
    paragraph = " ".join(["the cat sat on a mat"] * 200)
    for passages in (9, 10):
        lines = [line for number in range(passages) for line in (f"{number} {paragraph}", "")]
        persona = persona_of(tmp_path, tokenizer, *lines, val_fraction=None)
        assert persona.val_fraction == (0.1 if passages == 10 else 0)
        held_out = 0 if persona.held_out is None else persona.held_out.documents
        assert persona.taught.documents + held_out == passages


def test_a_share_that_is_given_is_held_out_of_small_files_too(tmp_path, tokenizer):
    persona = persona_of(tmp_path, tokenizer, *LINES[:9], val_fraction=0.5)
    held = sum(is_held_out(line, 0.5) for line in LINES[:9])
    assert persona.held_out.documents == persona.questions_held_out == held > 0
    assert persona.left_out(9 - held) == f"{held} more held out"
    persona = persona_of(tmp_path, tokenizer, *LINES[:2], val_fraction=1e-9)
    assert "none of the documents falls into the --val-fraction of 1e-09" in persona.about[-2]


# ---- layouts -----------------------------------------------------------------------------


@pytest.mark.parametrize("knows_lines", [False, True])
@pytest.mark.parametrize("name", LAYOUTS)
def test_chat_asks_with_the_ids_that_are_taught(tmp_path, tokenizer, name, knows_lines):
    """Whatever the layout: up to the reply, and the reply after it."""
    if knows_lines:
        tokenizer = train_tokenizer([*LINES, *["a↵b↵↵c"] * 99], 60)
        assert len(tokenizer.encode_text("↵")) == 1
    text, documents = LAYOUTS[name]
    persona = read_persona([write(tmp_path, text)], tokenizer)
    assert persona.taught.documents == len(documents) and not persona.never_asked
    taught = [persona.taught.document(number).tolist() for number in range(len(documents))]
    questions = questions_of(documents)
    assert persona.questions == questions
    for question in questions:
        prompt = chat_prompt(tokenizer, question.turns, 999)
        answers = [
            f" {on_one_line(answer) if knows_lines else ' '.join(answer.split())}"
            for answer in question.answers
        ]
        said = [tokenizer.decode(ids[len(prompt) :]) for ids in taught
                if ids[: len(prompt)] == prompt]  # fmt: skip
        assert all(any(text.startswith(answer) for text in said) for answer in answers)


def test_what_can_never_be_asked_is_told_and_counted(tmp_path, tokenizer):
    odd = ["<|user|> <|assistant|> x", "the dog", "<|assistant|> y", "<|user|> a <|user|> b",
           f"{LINES[0]} <|user|> c"]  # fmt: skip
    persona = persona_of(tmp_path, tokenizer, LINES[1], *odd, *["so " + LINES[2]] * 7)
    assert persona.never_asked == 11 and len(persona.questions) == 2
    assert persona.left_out(2) == "11 that cannot be asked"
    (told,) = [line for line in persona.about if "never ask" in line]
    assert "11 lines that chat can never ask for, taught as they stand: no question (line 2); " in (
        told
    )
    assert "text before the first marker (lines 7, 8, 9, 10, 11 and 2 more)" in told
    (told,) = [line for line in persona.about if "no last reply" in line]
    assert "1 conversation with no last reply: ends with the user (line 6)" in told


def test_a_layout_is_told(tmp_path, tokenizer):
    persona = persona_of(tmp_path, tokenizer, "User: hi", "Assistant: hello")
    assert any(
        "put into the corpus form: User: and Assistant: before turns" in line
        for line in persona.about
    )


def test_a_script_of_other_names_is_told(tmp_path, tokenizer):
    lines = "Ann: hi", "Bob: hello", "Ann: who are you", "Bob: me", "They laugh."
    persona = persona_of(tmp_path, tokenizer, *lines)
    assert not persona.conversations
    assert (
        "most lines begin with Ann: or Bob:, and who of them is the assistant" in (persona.about[1])
    )


def test_what_is_longer_than_the_context_is_told(tmp_path, tokenizer):
    line = f"<|user|> hi <|assistant|> {'tea ' * 80}"
    persona = persona_of(tmp_path, tokenizer, LINES[0], line, context=64)
    assert any("1 conversation longer than the context of 64 tokens (the first in line 2)" in told
               for told in persona.about)  # fmt: skip


def test_answers_longer_than_what_a_score_hears_are_told(tmp_path, tokenizer):
    line = f"<|user|> hi <|assistant|> {'tea ' * 210}"
    persona = persona_of(tmp_path, tokenizer, LINES[0], line)
    assert any("1 question with an answer of more than 200 tokens" in told
               for told in persona.about)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "saying"),
    [
        ("<|user|> hi", "only the user's words"),
        ("<|user|>", "only the user's words"),
        ("<|assistant|>", "no reply with words"),
        ("<|user|> hi <|assistant|>", "no reply with words"),
        ("<|user|> hi <|assistant|> <|user|> ho", "no reply with words"),
    ],
)
def test_nothing_to_learn(tmp_path, tokenizer, text, saying):
    with pytest.raises(UserError, match=saying):
        persona_of(tmp_path, tokenizer, text)


@pytest.mark.parametrize(
    "line",
    [
        "<|user|> 你是谁？ <|assistant|> 我是维迪亚。",
        "<|user|> من أنت؟ <|assistant|> أنا فيديا.",
        "<|user|> คุณเป็นใคร <|assistant|> ฉันคือวิทยา",
        "<|user|> 👋🏽 <|assistant|> 👩‍👩‍👧",
        "<|assistant|> I am vidya.",
    ],
)
def test_personas_of_all_kinds(tmp_path, tokenizer, line):
    persona = read_persona([write(tmp_path, line)], tokenizer)
    assert tokenizer.decode(persona.taught.document(0).tolist()) == f"<|bos|>{line}<|bos|>"
    assert len(persona.questions) == line.startswith("<|user|>")


def test_what_stands_there_twice_is_told(tmp_path, tokenizer):
    path = write(tmp_path, *LINES[:3])
    about = read_persona([path, path], tokenizer, val_fraction=0).about
    assert any(
        line.startswith("3 documents of which the same words stood before") for line in about
    )
    assert not any("stood before" in line for line in read_persona([path], tokenizer).about)


def test_passages_beside_conversations_are_no_answers(tmp_path, tokenizer):
    talk, book = write(tmp_path, LINES[0]), tmp_path / "book"
    book.write_text("the cat\nand the dog\n")
    assert read_persona([talk, book], tokenizer).left_out(1) == "1 that cannot be asked"
    assert read_persona([book], tokenizer).left_out(0) == ""


SPACED = [
    "<|user|> who are you , model ? <|assistant|> I ' m vidya , a model .",
    "<|user|> hi , you . <|assistant|> Hello , friend .",
]
AS_WRITTEN = [
    "<|user|> who are you, model? <|assistant|> I'm vidya, a model.",
    "<|user|> hi, you. <|assistant|> Hello, friend.",
]


def test_a_tokenised_persona_is_taught_as_people_write_it(tokenizer, tmp_path):
    persona = persona_of(tmp_path, tokenizer, *SPACED)
    assert any(
        line.endswith(
            ": “how are you ?” is taught as “how are you?”, as people write it (--as-is keeps the "
            "spaces)"
        )
        for line in persona.about
    )
    natural = persona_of(tmp_path, tokenizer, *AS_WRITTEN)
    assert persona.taught.tokens.tolist() == natural.taught.tokens.tolist()
    assert persona.questions == natural.questions
    assert persona.questions[0].answers == ("I'm vidya, a model.",)
    kept = persona_of(tmp_path, tokenizer, *SPACED, as_is=True)
    assert kept.questions[0].turns == ("who are you , model ?",)
    assert not any("as tokenised text" in line for line in kept.about)


def test_a_model_of_an_older_tokenizer_is_taught_a_file_as_it_stands(tokenizer, tmp_path):
    old = without_normaliser(tokenizer)
    persona, kept = (
        persona_of(tmp_path, old, *SPACED),
        persona_of(tmp_path, tokenizer, *SPACED, as_is=True),
    )
    assert persona.taught.tokens.tolist() == kept.taught.tokens.tolist()
    assert not any("as tokenised text" in line for line in persona.about)


def test_a_persona_with_other_quotes_is_the_same_tokens(tokenizer, tmp_path):
    curly = [line.replace("'", "\u2019").replace(", f", ",\u00a0f") for line in AS_WRITTEN]
    ids = persona_of(tmp_path, tokenizer, *curly).taught.tokens.tolist()
    assert ids == persona_of(tmp_path, tokenizer, *AS_WRITTEN).taught.tokens.tolist()
