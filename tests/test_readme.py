"""README's examples of a personality, of teaching and of Python, run as they are printed there."""

import re
import shlex
from pathlib import Path

import pytest
from support.chat_runs import NAME, meta_of
from support.commands import run_command_process
from support.training_runs import conversations

from vidya.model.config import ModelConfig
from vidya.model.transformer import Model
from vidya.storage import checkpoint
from vidya.text import token_cache
from vidya.text.tokenizer_training import train_tokenizer

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def persona_line():
    (line,) = re.findall(r"line of `persona.txt` is `([^`]+)`", " ".join(README.split()))
    return line


def code(section, language=""):
    """A section's blocks of code."""
    text = README.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return "\n".join(re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL))


def commands(section):
    """The commands of a section's blocks of code, in their order, as words."""
    blocks = code(section)
    lines = [shlex.split(line, comments=True) for line in blocks.split("\n") if line]
    assert all(line[:2] == ["python", "-m"] for line in lines)
    return [[line[2].removeprefix("vidya."), *line[3:]] for line in lines]


@pytest.fixture
def folder(tmp_path):
    """A folder as after a training, with the files that README names."""
    lines = conversations(60, seed=11)
    tokenizer = train_tokenizer(lines, 60)
    run = tmp_path / "runs" / "10m"
    run.mkdir(parents=True)
    tokenizer.save(run / "tokenizer.json")
    model = Model(ModelConfig(128, 2, 4, 64, tokenizer.vocab_size))
    model.init(1)
    checkpoint.save(run / NAME, model.parameters, meta_of(model, tokenizer))
    for split, some in (("train", lines), ("val", conversations(9, seed=12))):
        token_cache.build(run / f"{split}.tokens", some, tokenizer, split)
    (tmp_path / "persona.txt").write_text(persona_line() + "\n")
    (tmp_path / "book.txt").write_text("The cat sat on the mat.\nIt was red.\n\n" * 9)
    return tmp_path


def done(folder, name, *arguments, stdin=""):
    found = run_command_process(name, *arguments, cwd=folder, stdin=stdin, timing_seconds=0.02)
    assert found.returncode == 0, (name, arguments, found.stderr)
    return found.stdout + found.stderr


def test_a_persona_and_teaching(folder):
    question, answer = (turn.strip() for turn in re.split(r"<\|\w+\|>", persona_line())[1:])
    fine_tunings = [words for words in commands("Teach") if words[0] == "finetune"]
    lessons = [words for words in commands("Teach") if words[0] == "teach"]
    assert [words[1] for words in fine_tunings] == ["persona.txt", "book.txt"]
    assert [words[1:2] for words in lessons] == [
        [], ["--ask"], ["--pick"], ["--answer"], ["--undo"],
    ]  # fmt: skip
    first, book = fine_tunings
    assert "as taught: 1 of 1" in done(folder, *first)
    chat = ["chat", "--prompt", question, "--temperature", 0, "--precision", "fp32"]
    assert done(folder, *chat).strip() == answer
    in_terminal, ask, pick, better, undo = lessons
    assert "now says it:" in done(folder, *in_terminal, stdin=f"{question}\n{answer}\n/quit\n")
    asked = done(folder, *ask)
    assert [line[:2] for line in asked.splitlines()] == [f"{n}." for n in range(1, 6)]
    assert "now says it:" in done(folder, *pick)
    assert "now says it:" in done(folder, *better)
    assert f"taken back: '{better[-1]}' to '{ask[-1]}'" in done(folder, *undo)
    assert "plain text, 1 passage" in done(folder, *book)


@pytest.mark.either_precision
def test_python(folder, monkeypatch, capsys, kernel_settings):
    monkeypatch.chdir(folder)
    kept = {}
    exec(compile(code("Use it in Python", "python"), "README.md", "exec"), kept)
    out, err = capsys.readouterr()
    model, score = kept["model"], kept["score"]
    assert err == "" and model.path.parent == folder / "runs" / "10m"
    lines = out.splitlines()
    assert lines[0] == model.reply("hello", seed=1).splitlines()[0]
    assert f"\n{model.batch(['hello', 'what do you like?'])}\n" in out
    assert f"\n{score.total} {score.per_token} {score.bits_per_byte}\n" in out
    assert lines[-1] == "True"  # it says what it was taught
    lessons = (folder / "runs" / "10m" / "teach.jsonl").read_text().splitlines()
    assert len(lessons) == 3 and lessons[-1] == '{"undo": 0}'
