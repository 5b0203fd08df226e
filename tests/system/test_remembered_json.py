import pytest

from vidya.system.remembered_json import recall_json, remember_json


def test_what_was_remembered(tmp_path):
    remember_json(tmp_path / "f", {"a": [1, "ü"]}, end="\n")
    assert (tmp_path / "f").read_bytes() == b'{\n "a": [\n  1,\n  "\\u00fc"\n ]\n}\n'
    assert recall_json(tmp_path / "f") == {"a": [1, "ü"]}


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_damaged_file_is_nothing(tmp_path, damage):
    (tmp_path / "f").write_bytes(damage)
    assert recall_json(tmp_path / "f") is None


def test_a_missing_file_is_nothing(tmp_path):
    assert recall_json(tmp_path / "f") is None
    assert recall_json(tmp_path) is None
