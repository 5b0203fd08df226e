import io
import itertools
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidya.errors import UserError
from vidya.terminal import progress_display
from vidya.text import corpus_file, corpus_summary, token_cache
from vidya.text.token_cache import TokenCache, build, open_or_build
from vidya.text.tokenizer import Tokenizer
from vidya.text.tokenizer_training import train_tokenizer

DOCUMENTS = [f"<|user|> what is {i} <|assistant|> it is é{i} …" for i in range(15)]
HASH = corpus_summary.corpus_hash(DOCUMENTS)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(DOCUMENTS, 20)


@pytest.fixture
def path(tokenizer, tmp_path) -> Path:
    build(tmp_path / "c.tokens", DOCUMENTS, tokenizer, HASH)
    return tmp_path / "c.tokens"


def test_holds_every_document(tokenizer, path):
    cache = TokenCache.open(path)
    assert cache.documents == len(DOCUMENTS)
    assert not cache.tokens.flags.owndata and not cache.tokens.flags.writeable  # mapped
    assert cache.tokens.dtype == np.uint16
    assert cache.offsets.dtype == np.int64
    assert cache.offsets[0] == 0
    assert cache.offsets[-1] == len(cache.tokens)
    for number, document in enumerate(DOCUMENTS):
        ids = cache.tokens[cache.offsets[number] : cache.offsets[number + 1]]
        assert ids.tolist() == tokenizer.encode_document(document)
    assert (cache.tokenizer_hash, cache.corpus_hash) == (tokenizer.hash, HASH)
    with pytest.raises(ValueError, match="read-only"):
        cache.tokens[0] = 1


@given(st.lists(st.text(max_size=8), min_size=1), st.integers(1, 30))
def test_chunks_make_no_difference(tokenizer, tmp_path_factory, documents, size):
    path = tmp_path_factory.mktemp("c") / "c.tokens"
    whole = corpus_file.in_chunks
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_cache, "in_chunks", lambda documents: whole(documents, size))
        build(path, iter(documents), tokenizer, "x")
    cache = TokenCache.open(path)
    assert cache.tokens.tolist() == [i for d in documents for i in tokenizer.encode_document(d)]
    assert np.diff(cache.offsets).tolist() == [len(tokenizer.encode_document(d)) for d in documents]


def test_building_is_deterministic(tokenizer, path, tmp_path):
    build(tmp_path / "again", iter(DOCUMENTS), tokenizer, HASH)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_no_documents(tokenizer, tmp_path):
    with pytest.raises(UserError, match="holds no document"):
        build(tmp_path / "c", [], tokenizer, HASH)
    assert not list(tmp_path.iterdir())


def test_an_error_while_building_keeps_the_old_cache(tokenizer, path):
    before = path.read_bytes()

    def failing():
        yield "fine"
        raise UserError("line 2 is bad")

    with pytest.raises(UserError, match="line 2 is bad"):
        build(path, failing(), tokenizer, HASH)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


# ---------------------------------------------------------------- damage


def test_every_flipped_byte_is_noticed(path, tmp_path):
    raw = path.read_bytes()
    damaged = tmp_path / "damaged"
    for place in range(len(raw)):
        damaged.write_bytes(raw[:place] + bytes([raw[place] ^ 0x10]) + raw[place + 1 :])
        with pytest.raises(UserError, match="cannot use the token cache"):
            TokenCache.open(damaged)


def test_every_truncation_is_noticed(path, tmp_path):
    raw = path.read_bytes()
    damaged = tmp_path / "damaged"
    for length in range(len(raw)):
        damaged.write_bytes(raw[:length])
        with pytest.raises(UserError, match="cannot use the token cache"):
            TokenCache.open(damaged)
    damaged.write_bytes(raw + b"\0")
    with pytest.raises(UserError, match="too long"):
        TokenCache.open(damaged)


def test_messages(path, tmp_path):
    with pytest.raises(UserError, match=r"none \(.*No such file"):
        TokenCache.open(tmp_path / "none")
    path.write_bytes(b"x" * 1000)
    with pytest.raises(UserError, match="it is no token cache"):
        TokenCache.open(path)


# ---------------------------------------------------------------- stale caches


@pytest.fixture
def opened(tokenizer, tmp_path):
    """Calls `open_or_build`; the cache, and whether it was built."""

    def call(tokenizer=tokenizer, corpus_hash=HASH) -> tuple[TokenCache, bool]:
        built = []

        def documents():
            built.append(True)
            return DOCUMENTS

        cache = open_or_build(tmp_path / "c.tokens", documents, tokenizer, corpus_hash)
        assert cache.documents == len(DOCUMENTS)
        assert (cache.tokenizer_hash, cache.corpus_hash) == (tokenizer.hash, corpus_hash)
        assert cache.tokens[: cache.offsets[1]].tolist() == tokenizer.encode_document(DOCUMENTS[0])
        return cache, bool(built)

    return call


def test_built_once(opened):
    assert opened()[1]
    assert not opened()[1]


def test_another_tokenizer_or_corpus(opened):
    opened()
    other = train_tokenizer(DOCUMENTS, 5)
    assert opened(tokenizer=other)[1]
    assert opened()[1]
    assert opened(corpus_hash="other")[1]
    assert not opened(corpus_hash="other")[1]


def test_another_version(opened, tmp_path, monkeypatch):
    opened()
    with monkeypatch.context() as patch:
        patch.setattr(token_cache, "FORMAT_VERSION", 2)
        with pytest.raises(UserError, match="its format is 1, not 2"):
            TokenCache.open(tmp_path / "c.tokens")
        assert opened()[1]
    assert opened()[1]


@pytest.mark.parametrize("raw", [b"", b"VIDYATOK", b"x" * 5000, b"VIDYATOK" + b"\xff" * 5000])
def test_rubbish(opened, tmp_path, raw):
    (tmp_path / "c.tokens").write_bytes(raw)
    assert opened()[1]
    assert not opened()[1]


def test_counts_that_lie(opened, tmp_path):
    opened()
    path = tmp_path / "c.tokens"
    raw = bytearray(path.read_bytes())
    raw[16:32] = struct.pack("<qq", 2**62, -1)
    path.write_bytes(raw)
    assert opened()[1]


def test_a_process_that_has_it_open_keeps_the_old_one(opened, tokenizer, tmp_path):
    cache, _ = opened()
    before = cache.tokens.copy()
    build(tmp_path / "c.tokens", ["something else"], tokenizer, "other")
    assert (cache.tokens == before).all()


# ---------------------------------------------------------------- progress, full disk


def test_progress_as_lines(tokenizer, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress_display, "LINE_SECONDS", 0.0)
    build(tmp_path / "c", DOCUMENTS, tokenizer, HASH, progress=True, total_bytes=2_000_000)
    tokens = len(TokenCache.open(tmp_path / "c").tokens)
    assert capsys.readouterr().err == f"encoding: 0.0 of 2.0 MB, {tokens:,} tokens\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("total", [None, 2000])
def test_progress_as_a_bar(tokenizer, tmp_path, monkeypatch, total):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    build(tmp_path / "c", DOCUMENTS, tokenizer, HASH, progress=True, total_bytes=total)
    assert "Encoding" in terminal.getvalue()
    assert TokenCache.open(tmp_path / "c").documents == len(DOCUMENTS)


def test_a_full_disk(tokenizer, path):
    tokenizer.save(path.parent / "t.json")
    before = path.read_bytes()
    code = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from vidya.terminal.command_frame import run_command
from vidya.text.token_cache import build
from vidya.text.tokenizer import Tokenizer
tokenizer = Tokenizer.load({str(path.parent / "t.json")!r})
raise SystemExit(run_command(lambda: build({str(path)!r}, ["text"] * 9999, tokenizer, "x")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "c.tokens" in done.stderr
    assert path.read_bytes() == before
    assert sorted(p.name for p in path.parent.iterdir()) == ["c.tokens", "t.json"]


HELD = """
import sys
import numpy as np
from vidya.system.process_memory import mapped_bytes
from vidya.text.token_cache import TokenCache
cache = TokenCache.open(sys.argv[1])
before = mapped_bytes()
total = int(cache.tokens.sum(dtype=np.int64))
held = mapped_bytes()
cache.release()
print(before, held, mapped_bytes(), total, int(cache.tokens.sum(dtype=np.int64)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_pages_that_were_read_can_be_released(tokenizer, tmp_path):
    document = "zq" * 250_000  # nothing to merge: a token a byte
    build(tmp_path / "c", itertools.repeat(document, 8), tokenizer, "c" * 32)
    size = (tmp_path / "c").stat().st_size
    done = subprocess.run(
        [sys.executable, "-c", HELD, str(tmp_path / "c")], capture_output=True, text=True
    )
    before, held, after, total, again = map(int, done.stdout.split())
    assert size > 8e6 - 1
    assert held - before > 0.9 * size  # opening did not leave them there, reading does
    assert after - before < 0.1 * size
    assert total == again > 0
