import io
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.commands import run_command_process

from vidya.errors import UserError
from vidya.text import tokenizer as module
from vidya.text.conversation_format import ASSISTANT, BOS, MARKERS, USER
from vidya.text.tokenizer import Tokenizer, cached_tokenizer
from vidya.text.tokenizer_report import statistics

WORDS = ["how are you", "I am fine", "thank you very much", "what is it", "see you", "of course"]
DOCUMENTS = [
    f"{USER} {WORDS[i % 6]} {WORDS[i % 5]} ? {ASSISTANT} {WORDS[i % 4]} , {WORDS[i % 3]} . {i % 7}"
    for i in range(300)
]
MERGES = 60

texts = st.text(st.characters(codec="utf-8"))
# Text that is full of markers, of parts of markers, and of what was trained on.
marked = st.lists(
    st.one_of(texts, st.sampled_from([*MARKERS, "<|", "|>", "<|user", "\n", " ", *WORDS]))
).map("".join)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(DOCUMENTS, MERGES)


@pytest.fixture
def saved(tokenizer, tmp_path) -> Path:
    tokenizer.save(tmp_path / "tokenizer.json")
    return tmp_path / "tokenizer.json"


def hugging_face(path):
    import tokenizers

    return tokenizers.Tokenizer.from_file(str(path))


# ---------------------------------------------------------------- vocabulary


def test_vocabulary_is_markers_bytes_and_merges(tokenizer):
    assert tokenizer.vocab_size == 256 + MERGES + 3
    assert (tokenizer.bos_id, tokenizer.user_id, tokenizer.assistant_id) == (0, 1, 2)
    single = {tokenizer.decode_bytes([i]) for i in range(3, 259)}
    assert single == {bytes([b]) for b in range(256)}


def test_merges_cross_words_but_not_markers(tokenizer):
    pieces = [tokenizer.decode_bytes([i]) for i in range(259, tokenizer.vocab_size)]
    assert any(b" " in piece.strip() for piece in pieces)
    assert not any(b"<" in piece or b"|" in piece for piece in pieces)


def test_a_small_corpus_gives_a_smaller_vocabulary():
    tokenizer = Tokenizer.train(["abab"], 1000)
    assert 259 <= tokenizer.vocab_size < 300
    assert Tokenizer.train(["abab"], 0).vocab_size == 259


def test_training_is_deterministic(tokenizer):
    assert Tokenizer.train(iter(DOCUMENTS), MERGES).hash == tokenizer.hash
    assert Tokenizer.train(DOCUMENTS, MERGES - 1).hash != tokenizer.hash
    assert Tokenizer.train(DOCUMENTS[:50], MERGES).hash != tokenizer.hash


@pytest.mark.parametrize("merges", [-1, 65_277, 10**9])
def test_merges_out_of_range(merges):
    with pytest.raises(UserError, match=r"merges must be between 0 and 65276"):
        Tokenizer.train(DOCUMENTS, merges)


def test_training_on_nothing():
    with pytest.raises(UserError, match="holds no document"):
        Tokenizer.train([], 10)


def test_a_large_corpus_is_thinned_evenly():
    documents = [f"{i:04d}" for i in range(1000)]
    kept = module._thin(documents, 1000).documents
    assert kept == documents[::4]
    assert module._thin(documents, 4000).documents == documents
    sample = module._thin(documents, 1000)
    assert (sample.size, sample.whole, sample.stride) == (1000, 4000, 4)


def test_how_much_of_a_corpus_was_used_is_said(monkeypatch):
    said: list[str] = []
    Tokenizer.train(DOCUMENTS, 10, say=said.append)
    assert said == []
    monkeypatch.setattr(module, "TRAINING_BYTES", 4000)
    Tokenizer.train(DOCUMENTS, 10, say=said.append)
    (line,) = said
    kept = DOCUMENTS[::8]
    assert (
        f"from {sum(map(len, kept)) / 1e6:.1f} of {sum(map(len, DOCUMENTS)) / 1e6:,.1f} MB" in line
    )
    assert "1 document in 8, evenly" in line


def test_a_document_over_the_limit_is_cut():
    assert module._thin(["x" * 100, "yy"], 10).documents == ["x" * 10]


# ---------------------------------------------------------------- round trips


@given(marked)
def test_documents_round_trip(tokenizer, text):
    ids = tokenizer.encode_document(text)
    assert ids[0] == ids[-1] == tokenizer.bos_id
    assert tokenizer.decode(ids) == BOS + text + BOS
    for marker, number in zip(MARKERS, (0, 1, 2), strict=True):
        assert ids[1:-1].count(number) == text.count(marker)


@given(marked)
def test_plain_text_holds_no_markers_and_round_trips(tokenizer, text):
    ids = tokenizer.encode_text(text)
    assert tokenizer.special_ids.isdisjoint(ids)
    assert tokenizer.decode(ids) == text
    assert tokenizer.byte_length(ids) == len(text.encode())


@given(marked)
def test_plain_and_marked_agree_where_there_are_no_markers(tokenizer, text):
    for marker in MARKERS:
        text = text.replace(marker, "")
    if not any(marker in text for marker in MARKERS):
        assert tokenizer.encode_text(text) == tokenizer.encode_marked(text)


@given(st.lists(marked))
def test_batches_are_the_same_as_single_documents(tokenizer, documents):
    encoded = tokenizer.encode_documents(documents)
    assert all(ids.dtype == np.uint16 for ids in encoded)
    assert [ids.tolist() for ids in encoded] == [*map(tokenizer.encode_document, documents)]


@given(marked)
def test_hugging_face_alone_gives_the_same_ids(tokenizer, tmp_path_factory, text):
    path = tmp_path_factory.mktemp("t") / "tokenizer.json"
    tokenizer.save(path)
    theirs = hugging_face(path)
    ids = theirs.encode(text).ids
    assert ids == tokenizer.encode_marked(text)
    assert theirs.decode(ids, skip_special_tokens=False) == text


@given(st.lists(st.integers(0, 258 + MERGES)))
def test_any_ids_can_be_decoded(tokenizer, ids):
    raw = tokenizer.decode_bytes(ids, skip_special=True)
    assert len(raw) == tokenizer.byte_length(ids)
    assert tokenizer.decode(ids, skip_special=True) == raw.decode("utf-8", "replace")


def test_decode_can_leave_markers_out(tokenizer):
    ids = np.array(tokenizer.encode_document(f"{USER} a {ASSISTANT} b"))
    assert tokenizer.decode(ids, skip_special=True) == " a  b"


@pytest.mark.parametrize("number", [-1, 259 + MERGES])
def test_ids_outside_the_vocabulary(tokenizer, number):
    with pytest.raises(IndexError):
        tokenizer.decode([number])


def test_targets_that_do_not_count_have_no_bytes(tokenizer):
    ids = tokenizer.encode_text("abc")
    assert tokenizer.byte_length(np.array([-1, *ids, -1])) == 3
    assert tokenizer.byte_length([]) == 0


def test_half_a_surrogate_pair(tokenizer):
    for encode in (tokenizer.encode_text, tokenizer.encode_document):
        with pytest.raises(UserError, match="surrogate"):
            encode("a\ud800")
    with pytest.raises(UserError, match="surrogate"):
        tokenizer.encode_documents(["a", "\udcff"])


@pytest.mark.parametrize("unit", ["word ", "x", "\n", "<|user|>", "é"])
def test_a_line_of_a_megabyte(tokenizer, unit):
    text = unit * (1_000_000 // len(unit.encode()))
    assert tokenizer.decode(tokenizer.encode_text(text)) == text
    assert tokenizer.decode(tokenizer.encode_marked(text)) == text


def test_training_on_a_line_of_a_megabyte():
    tokenizer = Tokenizer.train(["".join(map(str, range(200_000)))], 300)
    assert tokenizer.vocab_size == 559


# ---------------------------------------------------------------- files


def test_save_and_load(tokenizer, saved):
    loaded = Tokenizer.load(saved)
    assert loaded.hash == tokenizer.hash
    assert loaded.encode_document(DOCUMENTS[0]) == tokenizer.encode_document(DOCUMENTS[0])
    assert (loaded.token_bytes == tokenizer.token_bytes).all()


def test_hash_does_not_depend_on_layout(tokenizer, saved):
    content = json.loads(saved.read_text())
    content["model"]["merges"] = [
        " ".join(m) if isinstance(m, list) else m for m in content["model"]["merges"]
    ]
    saved.write_text(json.dumps(content))
    assert Tokenizer.load(saved).hash == tokenizer.hash


def damage(content, how):
    model = content["model"]
    if how == "other kind":
        model["type"] = "WordPiece"
    elif how == "no markers":
        content["added_tokens"] = []
    elif how == "marker not special":
        content["added_tokens"][1]["special"] = False
    elif how == "hole in ids":
        model["vocab"] = {t: i + (i > 300) for t, i in model["vocab"].items()}
    elif how == "byte missing":
        model["vocab"].pop("a")
    elif how == "space added":
        content["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = True
    elif how == "text removed":
        content["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed"
    elif how == "normalizer":
        content["normalizer"] = {"type": "Lowercase"}
    elif how == "unknown merge":
        model["merges"].append(["zzz", "zzz"])
    elif how == "list":
        content = [content]
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    "how",
    [
        "other kind",
        "no markers",
        "marker not special",
        "hole in ids",
        "byte missing",
        "space added",
        "text removed",
        "normalizer",
        "unknown merge",
        "list",
    ],
)
def test_tokenizers_that_cannot_be_used(saved, how):
    saved.write_bytes(damage(json.loads(saved.read_text()), how))
    with pytest.raises(UserError, match=r"tokenizer\.json is no tokenizer of vidya or is damaged"):
        Tokenizer.load(saved)


@given(st.data())
def test_damaged_files(tokenizer, tmp_path_factory, data):
    path = tmp_path_factory.mktemp("t") / "tokenizer.json"
    tokenizer.save(path)
    raw = path.read_bytes()
    cut = data.draw(st.integers(0, len(raw) - 2))
    path.write_bytes(raw[:cut] + data.draw(st.sampled_from([b"", b"\xff", b"\0 "])))
    with pytest.raises(UserError, match=r"tokenizer\.json is no tokenizer") as caught:
        Tokenizer.load(path)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"none\.json: No such file"):
        Tokenizer.load(tmp_path / "none.json")


# ---------------------------------------------------------------- the cached one


@pytest.fixture
def cached(tmp_path):
    """Calls `cached_tokenizer` and tells whether it trained."""

    paths = tmp_path / "tokenizer.json", tmp_path / "tokenizer.meta.json"

    def call(corpus_hash: str = "c", merges: int = 20) -> bool:
        trained = []

        def train() -> Tokenizer:
            trained.append(True)
            return Tokenizer.train(DOCUMENTS[:30], merges)

        tokenizer = cached_tokenizer(*paths, corpus_hash, merges, train)
        assert tokenizer.hash == Tokenizer.train(DOCUMENTS[:30], merges).hash
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
    Tokenizer.train(DOCUMENTS, 5).save(tmp_path / "tokenizer.json")
    assert cached()


# ---------------------------------------------------------------- statistics and the command


def test_statistics(tokenizer):
    documents = [f"{USER} é {ASSISTANT} b", "c"]
    found = statistics(tokenizer, documents)
    ids = [i for d in documents for i in tokenizer.encode_document(d)]
    plain = [i for i in ids if i not in tokenizer.special_ids]
    assert found["tokens"] == len(ids)
    assert found["bytes"] == sum(len(d.encode()) for d in documents)
    assert found["text_bytes"] == len(" é  b".encode()) + 1 == tokenizer.byte_length(ids)
    assert found["bytes_per_token"] == pytest.approx(found["text_bytes"] / len(plain))
    assert found["chars_per_token"] == pytest.approx(6 / len(plain))
    assert found["bytes_per_token_with_markers"] == pytest.approx(found["bytes"] / len(ids))


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
    done = run("train", corpus, "--merges", 0, "--out", tmp_path / "new" / "t.json")
    assert done.returncode == 0
    assert Tokenizer.load(tmp_path / "new" / "t.json").vocab_size == 259


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


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert module._with_progress("Training", True, lambda: 7) == 7
    assert "Training …" in terminal.getvalue()
    assert re.search(r"Training: \d+\.\d s\n$", terminal.getvalue())


def test_errors_in_the_worker_come_through():
    def fail() -> None:
        raise UserError("no")

    with pytest.raises(UserError, match="no"):
        module._with_progress("Training", False, fail)


def test_import_is_light():
    code = "import sys, vidya.tokenizer; print({'tokenizers', 'tyro', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
