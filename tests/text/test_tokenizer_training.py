import json
import signal
import subprocess
import sys
import time

import pytest
from support.small_tokenizer import DOCUMENTS, MERGES, a_tokenizer

from vidya.errors import UserError
from vidya.text import tokenizer_training
from vidya.text.tokenizer import Tokenizer
from vidya.text.tokenizer_training import cached_tokenizer, train_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return a_tokenizer()


def test_a_small_corpus_gives_a_smaller_vocabulary():
    tokenizer = train_tokenizer(["abab"], 1000)
    assert 259 <= tokenizer.vocab_size < 300
    assert train_tokenizer(["abab"], 0).vocab_size == 259


def test_training_is_deterministic(tokenizer):
    assert train_tokenizer(iter(DOCUMENTS), MERGES).hash == tokenizer.hash
    assert train_tokenizer(DOCUMENTS, MERGES - 1).hash != tokenizer.hash
    assert train_tokenizer(DOCUMENTS[:50], MERGES).hash != tokenizer.hash


@pytest.mark.parametrize("merges", [-1, 65_277, 10**9])
def test_merges_out_of_range(merges):
    with pytest.raises(UserError, match=r"merges must be between 0 and 65276"):
        train_tokenizer(DOCUMENTS, merges)


def test_training_on_nothing():
    with pytest.raises(UserError, match="holds no document"):
        train_tokenizer([], 10)


def test_a_large_corpus_is_thinned_evenly():
    documents = [f"{i:04d}" * 1000 for i in range(1000)]
    kept, note = tokenizer_training._thin(documents, 1_000_000)
    assert kept == documents[::4]
    assert "from 1.0 of 4.0 MB of text (1 document in 4, evenly)" in note
    assert tokenizer_training._thin(documents, 4_000_000) == (documents, "")


def test_how_much_of_a_corpus_was_used_is_said(monkeypatch):
    said: list[str] = []
    train_tokenizer(DOCUMENTS, 10, say=said.append)
    assert said == []
    monkeypatch.setattr(tokenizer_training, "TRAINING_BYTES", 4000)
    train_tokenizer(DOCUMENTS, 10, say=said.append)
    (line,) = said
    kept = DOCUMENTS[::8]
    assert (
        f"from {sum(map(len, kept)) / 1e6:.1f} of {sum(map(len, DOCUMENTS)) / 1e6:,.1f} MB" in line
    )
    assert "1 document in 8, evenly" in line


def test_a_document_over_the_limit_is_cut():
    assert tokenizer_training._thin(["x" * 100, "yy"], 10)[0] == ["x" * 10]


def test_training_on_a_line_of_a_megabyte():
    tokenizer = train_tokenizer(["".join(map(str, range(200_000)))], 300)
    assert tokenizer.vocab_size == 559


def test_ctrl_c_stops_training_at_once(tmp_path):
    corpus, out = tmp_path / "c.txt", tmp_path / "t.json"
    corpus.write_text("\n".join(f"{i} {i * 7919 % 10007} and so on" * 20 for i in range(40_000)))
    command = [sys.executable, "-m", "vidya.tokenizer", "train", corpus, "--out", out]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline().startswith("Training the tokenizer: 4,000 merges")
        time.sleep(0.5)  # let it enter the library, which takes far longer
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        assert process.wait(30) == 130
        assert time.monotonic() - start < 3
        assert process.stderr.read() == "interrupted\n"
    assert not out.exists()


def test_errors_in_the_worker_come_through():
    def fail() -> None:
        raise UserError("no")

    with pytest.raises(UserError, match="no"):
        tokenizer_training._interruptible(fail)


# ---------------------------------------------------------------- the cached one


@pytest.fixture
def cached(tmp_path):
    """Calls `cached_tokenizer` and tells whether it trained."""

    paths = tmp_path / "tokenizer.json", tmp_path / "tokenizer.meta.json"

    def call(corpus_hash: str = "c", merges: int = 20, split_digits: bool = True) -> bool:
        trained = []

        def make() -> Tokenizer:
            return train_tokenizer(DOCUMENTS[:30], merges, split_digits=split_digits)

        def train() -> Tokenizer:
            trained.append(True)
            return make()

        tokenizer = cached_tokenizer(*paths, corpus_hash, merges, train, split_digits=split_digits)
        assert tokenizer.hash == make().hash
        assert tokenizer.hash == Tokenizer.load(tmp_path / "tokenizer.json").hash
        return bool(trained)

    return call


def test_cached_until_corpus_or_settings_change(cached):
    assert cached()
    assert not cached()
    assert cached(corpus_hash="d")
    assert not cached(corpus_hash="d")
    assert cached(corpus_hash="d", merges=21)
    assert not cached(corpus_hash="d", merges=21)
    assert cached()


def test_a_tokenizer_of_the_other_setting_is_another(cached, tmp_path):
    assert cached() and not cached()
    assert cached(split_digits=False) and not cached(split_digits=False)
    # beside those of before stands nothing of it
    kept = json.loads((tmp_path / "tokenizer.meta.json").read_text())
    assert kept.keys() == {"recipe", "corpus_hash", "merges", "tokenizer_hash"}
    assert cached()


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer.meta.json"])
@pytest.mark.parametrize("raw", [None, b"", b"{}", b"\xff", b"[]"])
def test_a_damaged_cached_tokenizer_is_trained_anew(cached, tmp_path, name, raw):
    cached()
    if raw is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(raw)
    assert cached()
    assert not cached()


def test_another_tokenizer_in_its_place_is_not_used(cached, tmp_path):
    cached()
    train_tokenizer(DOCUMENTS, 5).save(tmp_path / "tokenizer.json")
    assert cached()
