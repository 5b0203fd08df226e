import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.small_tokenizer import DOCUMENTS, MERGES, WORDS, a_tokenizer, without_normaliser

from vidya.errors import UserError
from vidya.text.conversation_format import ASSISTANT, BOS, MARKER, MARKERS, USER
from vidya.text.normalisation import normalised
from vidya.text.tokenizer import Tokenizer

texts = st.text(st.characters(codec="utf-8"))
TO_NORMALISE = ["e\u0301", "\u2019", "\u201c", "\u00a0", "\u200b", "<|us\u00ader|>"]
# Text that is full of markers, of parts of markers, and of what was trained on.
marked = st.lists(
    st.one_of(
        texts, st.sampled_from([*MARKERS, "<|", "|>", "<|user", "\n", " ", *WORDS, *TO_NORMALISE])
    )
).map("".join)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return a_tokenizer()


@pytest.fixture
def saved(tokenizer, tmp_path) -> Path:
    tokenizer.save(tmp_path / "tokenizer.json")
    return tmp_path / "tokenizer.json"


def normalised_between_markers(text: str) -> str:
    return "".join(one if one in MARKERS else normalised(one) for one in MARKER.split(text))


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


# ---------------------------------------------------------------- round trips


@given(marked)
def test_documents_round_trip(tokenizer, text):
    ids = tokenizer.encode_document(text)
    assert ids[0] == ids[-1] == tokenizer.bos_id
    assert tokenizer.decode(ids) == BOS + normalised_between_markers(text) + BOS
    for marker, number in zip(MARKERS, (0, 1, 2), strict=True):
        assert ids[1:-1].count(number) == text.count(marker)


@given(marked)
def test_plain_text_holds_no_markers_and_round_trips(tokenizer, text):
    ids = tokenizer.encode_text(text)
    assert tokenizer.special_ids.isdisjoint(ids)
    assert tokenizer.decode(ids) == normalised(text)
    assert tokenizer.byte_length(ids) == len(normalised(text).encode())


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
    assert theirs.decode(ids, skip_special_tokens=False) == normalised_between_markers(text)


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


# ---------------------------------------------------------------- normalisation


def test_the_same_text_in_any_form_has_the_same_ids(tokenizer):
    for encode in (tokenizer.encode_text, tokenizer.encode_document):
        plain = encode('I\'m at the "caf\u00e9" now')
        assert encode("I\u2019m at the \u201ccafe\u0301\u201d\u00a0now\ufeff") == plain
    both = ["caf\u00e9", "ascii", "cafe\u0301", "no\u00adne"]
    ids = [*map(np.ndarray.tolist, tokenizer.encode_documents(both))]
    assert ids == [*map(tokenizer.encode_document, ["caf\u00e9", "ascii", "caf\u00e9", "none"])]


def test_what_shows_nothing_makes_no_marker(tokenizer):
    ids = tokenizer.encode_marked("<|us\u00ader|> who")
    assert tokenizer.special_ids.isdisjoint(ids)
    assert tokenizer.decode(ids) == "<|user|> who"


def test_older_tokenizers_take_text_as_it_stands(tokenizer):
    old = without_normaliser(tokenizer)
    assert tokenizer.normalises and not old.normalises
    for text in ("I\u2019m", "e\u0301", "a\u00a0b", "\ufeff"):
        assert old.decode(old.encode_text(text)) == text
        assert old.decode(old.encode_documents([text])[0][1:-1]) == text
    assert old.encode_document(DOCUMENTS[0]) == tokenizer.encode_document(DOCUMENTS[0])
    assert old.hash != tokenizer.hash


def test_the_hash_of_older_tokenizers_is_what_it_was(tokenizer):
    content = json.loads(without_normaliser(tokenizer)._json)
    merges = [m if isinstance(m, list) else m.split(" ") for m in content["model"]["merges"]]
    added = [[token["id"], token["content"]] for token in content["added_tokens"]]
    parts = [content["model"]["vocab"], merges, added, content["pre_tokenizer"]]
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    before = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    assert without_normaliser(tokenizer).hash == before


def test_a_foreign_normaliser_is_refused_by_its_name(saved):
    content = json.loads(saved.read_text())
    content["normalizer"] = {"type": "NFC"}
    saved.write_text(json.dumps(content))
    with pytest.raises(UserError, match="normalises text in a way of its own"):
        Tokenizer.load(saved)


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
