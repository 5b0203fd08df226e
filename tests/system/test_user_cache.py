"""What is kept in the user's cache folder: found again whole or not at all, and bounded."""

import os

import pytest

from vidya.system import user_cache
from vidya.system.user_cache import cache_folder, clear, entries, recall, remember

KEY = {"text": "ü", "merges": 20}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDYA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def the_file(folder):
    (path,) = (folder / "tokenizers").iterdir()
    return path


def test_where_the_folder_is(monkeypatch, tmp_path):
    assert cache_folder().parent.name.startswith("vidya-test-caches-")
    monkeypatch.delenv("VIDYA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "vidya"


def test_what_is_kept_is_found_under_its_key_alone(folder):
    assert recall("tokenizers", KEY) is None and not folder.exists()
    content = b"\n\x00 bytes\n"
    remember("tokenizers", KEY, content)
    assert recall("tokenizers", KEY) == content
    assert recall("tokenizers", dict(reversed(KEY.items()))) == content
    assert recall("tokenizers", KEY | {"merges": 21}) is None and recall("plans", KEY) is None
    remember("tokenizers", KEY, b"")
    assert recall("tokenizers", KEY) == b"" and the_file(folder)


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"", lambda raw: raw[:-1], lambda raw: raw + b"x", lambda raw: b"[1]\nabc",
        lambda raw: raw.replace(b"abc", b"abd"), lambda raw: raw.replace(b"20", b"21"),
        lambda raw: b"\xff" + raw, lambda raw: b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_damaged_entry_is_none_and_made_again(folder, damage):
    remember("tokenizers", KEY, b"abc")
    path = the_file(folder)
    path.write_bytes(damage(path.read_bytes()))
    assert recall("tokenizers", KEY) is None
    remember("tokenizers", KEY, b"abc")
    assert recall("tokenizers", KEY) == b"abc"


def test_a_place_that_cannot_be_written_is_no_error(folder, monkeypatch):
    folder.write_text("in the way")
    remember("tokenizers", KEY, b"abc")
    assert recall("tokenizers", KEY) is None and entries() == [] and clear() == 0
    folder.unlink()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
    remember("tokenizers", KEY, b"abc")
    assert list((folder / "tokenizers").iterdir()) == []
    monkeypatch.setattr(user_cache, "cache_folder", lambda: None)  # a user without a home
    remember("tokenizers", KEY, b"abc")
    assert recall("tokenizers", KEY) is None and entries() == [] and clear() == 0


def test_a_folder_that_is_only_read_is_read(folder, monkeypatch):
    remember("tokenizers", KEY, b"abc")
    monkeypatch.setattr(os, "utime", lambda _: (_ for _ in ()).throw(PermissionError()))
    assert recall("tokenizers", KEY) == b"abc"


def test_what_was_not_used_for_longest_goes_first(folder, monkeypatch):
    monkeypatch.setattr(user_cache, "MOST_BYTES", 4000)
    for number in range(4):
        remember("tokenizers", {"n": number}, bytes(900))
    for entry in entries():  # an hour ago, all at the same time
        os.utime(entry.path, (1e9, 1e9))
    assert recall("tokenizers", {"n": 1}) is not None  # used
    remember("plans", {"n": 4}, bytes(900))
    remember("plans", {"n": 5}, bytes(900))
    assert recall("tokenizers", {"n": 1}) and recall("plans", {"n": 5})
    assert sum(entry.size for entry in entries()) <= 4000
    remember("plans", {"n": 6}, bytes(1001))  # so much at once is not kept
    assert recall("plans", {"n": 6}) is None and recall("plans", {"n": 5})


def test_clearing_takes_what_is_ours_alone(folder):
    remember("tokenizers", KEY, b"abc")
    remember("plans", KEY, b"abc")
    (folder / "threads.json").write_text("{}")
    (folder / "plans" / "mine.txt").write_text("mine")
    assert {entry.kind for entry in entries()} == {"tokenizers", "plans", "threads"}
    assert clear() > 6 and entries() == []
    assert [path.name for path in folder.rglob("*")] == ["plans", "mine.txt"]
    (folder / "plans" / "mine.txt").unlink()
    clear()
    assert not folder.exists()
