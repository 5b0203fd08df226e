import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import run_command_process
from support.small_tokenizer import DOCUMENTS, a_tokenizer

from vidya.storage import checkpoint
from vidya.text.conversation_format import USER
from vidya.text.tokenizer import Tokenizer
from vidya.text.tokenizer_report import statistics


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return a_tokenizer()


@pytest.fixture
def saved(tokenizer, tmp_path) -> Path:
    tokenizer.save(tmp_path / "tokenizer.json")
    return tmp_path / "tokenizer.json"


def run(*arguments, text: str | bytes = "") -> subprocess.CompletedProcess[str]:
    return run_command_process("tokenizer", *arguments, stdin=text)


def test_train_beside_the_previous_tokenizer(tmp_path, saved, tokenizer):
    text, out = tmp_path / "t.txt", tmp_path / "new.json"
    text.write_text("".join(f"{d}\n" for d in DOCUMENTS))
    done = run("train", text, "--merges", 5, "--out", out, "--compare", saved)
    assert done.returncode == 0, done.stderr
    new, old = (statistics(t, DOCUMENTS) for t in (Tokenizer.load(out), tokenizer))
    table = [line.split() for line in done.stdout.splitlines()[-6:]]
    assert table[0] == ["this", "one", "previous"]
    assert table[1] == ["vocabulary", "264", "319"]
    assert table[2] == ["tokens", f"{new['tokens']:,}", f"{old['tokens']:,}"]
    assert table[3][-2:] == [f"{new['chars_per_token']:.3f}", f"{old['chars_per_token']:.3f}"]
    assert table[4][-2:] == [f"{new['bytes_per_token']:.3f}", f"{old['bytes_per_token']:.3f}"]
    assert table[5][0] == f"{new['tokens'] / old['tokens'] - 1:+.1%}" and table[5][0][0] == "+"
    out.unlink()
    done = run("train", text, "--out", out, "--compare", tmp_path / "none.json")
    assert done.returncode == 2 and "none.json" in done.stderr and not out.exists()


def test_train_and_stats(tmp_path):
    corpus, out = tmp_path / "c.txt", tmp_path / "t.json"
    corpus.write_text("\n".join(DOCUMENTS))
    trained = run("train", corpus, "--merges", 40, "--out", out)
    assert trained.returncode == 0, trained.stderr
    assert "vocabulary 299 (256 bytes + 40 merges + 3 markers)" in trained.stdout
    assert "300 documents" in trained.stdout
    stats = run("stats", out, corpus)
    assert stats.stdout == trained.stdout
    assert stats.stderr == ""
    assert "characters and" in stats.stdout


def test_encode(tokenizer, saved):
    text = f"{USER} hé"
    assert run("encode", saved, text).stdout.split() == [*map(str, tokenizer.encode_marked(text))]
    plain = [*map(str, tokenizer.encode_text(text))]
    assert run("encode", saved, "--plain", text).stdout.split() == plain
    assert run("encode", saved, "--plain", "-", text=text).stdout.split() == plain
    assert run("encode", saved, "--plain", text=text).stdout.split() == plain


def assert_user_error(done, *words: str) -> None:
    assert done.returncode == 2, done
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("error: ")
    for word in words:
        assert word in done.stderr


def test_bad_input_of_the_command(saved, tmp_path):
    empty, latin = tmp_path / "empty.txt", tmp_path / "latin.txt"
    empty.write_bytes(b"")
    latin.write_bytes(b"ok\n\xe4\n")
    out = tmp_path / "out.json"
    assert_user_error(run("train", empty, "--out", out), "empty.txt holds no document")
    assert_user_error(run("train", latin, "--out", out), "latin.txt, line 2")
    assert_user_error(run("train", "--out", out), "name at least one")
    assert_user_error(run("train", latin, "--merges", -1, "--out", out), "merges")
    assert_user_error(run("stats", saved, tmp_path / "none.txt"), "none.txt")
    assert_user_error(run("stats", latin, latin), "no tokenizer of vidya")
    assert_user_error(run("encode", saved, text=b"\xff"), "standard input is not UTF-8")
    assert not out.exists()


def test_outputs_that_cannot_be(tmp_path):
    corpus = tmp_path / "c.txt"
    corpus.write_text("some text\n")
    assert_user_error(run("train", corpus, "--out", tmp_path), "is a folder")
    assert_user_error(run("train", corpus, "--out", corpus), "named as another file")
    assert_user_error(run("train", corpus, "--out", corpus / "t.json"), "cannot make the folder")
    assert corpus.read_text() == "some text\n"
    (tmp_path / "other.json").write_text('{"added_tokens": [{"content": "<|endoftext|>"}]}')
    refused = run("train", corpus, "--out", tmp_path / "other.json")
    assert_user_error(refused, "is not a tokenizer of vidya and would be replaced: ")
    same = tmp_path / "old.json"
    assert run("train", corpus, "--merges", 0, "--out", same).returncode == 0
    refused = run("train", corpus, "--out", same, "--compare", same)
    assert_user_error(refused, "old.json is also named as another file of this command")
    for _ in range(2):
        done = run("train", corpus, "--merges", 0, "--out", tmp_path / "run" / "tokenizer.json")
        assert done.returncode == 0
    checkpoint.save(tmp_path / "run" / "model.bin", {}, {})
    refused = run("train", corpus, "--out", tmp_path / "run" / "tokenizer.json")
    assert_user_error(refused, "tokenizer.json is the tokenizer of model.bin: ")
    done = run("train", corpus, "--merges", 0, "--out", tmp_path / "new" / "t.json")
    assert done.returncode == 0
    assert Tokenizer.load(tmp_path / "new" / "t.json").vocab_size == 259


def test_import_is_light():
    heavy = {"numpy", "tokenizers", "tyro", "rich"}
    code = f"import sys, vidya.tokenizer; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
