"""Output that appears whole or not at all: files and folders."""

import errno

import pytest

from vidya.errors import PlaceError
from vidya.system.appearing_output import appearing_output


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_appears_at_the_end(tmp_path):
    out = tmp_path / "above" / "out"
    with appearing_output(out) as place:
        place.mkdir()
        (place / "a").write_text("1")
        assert not out.exists() and place.name == "out"
    assert (out / "a").read_text() == "1" and names(out.parent) == ["out"]


def test_an_empty_folder_is_filled_and_a_file_appears(tmp_path):
    (tmp_path / "empty").mkdir()
    with appearing_output(tmp_path / "empty") as place:
        place.mkdir()
        (place / "a").write_text("1")
    with appearing_output(tmp_path / "file") as place:
        place.write_text("2")
    assert names(tmp_path) == ["empty", "file"] and names(tmp_path / "empty") == ["a"]


def test_nothing_is_left_of_what_fails(tmp_path):
    with pytest.raises(KeyboardInterrupt), appearing_output(tmp_path / "out") as place:
        place.mkdir()
        (place / "a").write_text("1")
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_a_full_disk_is_told_by_the_name_that_was_asked_for(tmp_path):
    with pytest.raises(PlaceError) as caught, appearing_output(tmp_path / "out") as place:
        place.mkdir()
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise PlaceError(f"disk full writing {place}/a", "free some space") from error
    assert "disk full" in str(caught.value) and f"writing {tmp_path}/out:" in str(caught.value)


def test_what_became_of_the_place_meanwhile_stays(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(PlaceError), appearing_output(out) as place:
        place.mkdir()
        out.mkdir()
        (out / "theirs").write_text("1")
    assert names(out) == ["theirs"] and names(tmp_path) == ["out"]


def test_what_a_killed_process_left_is_cleared_away_and_what_is_in_use_stays(tmp_path):
    (tmp_path / ".out.tmp-dead").mkdir()
    with appearing_output(tmp_path / "out") as first:
        with appearing_output(tmp_path / "out") as second:
            assert first.parent.exists() and len(names(tmp_path)) == 2
            second.write_text("1")
        first.write_text("2")
    assert names(tmp_path) == ["out"]
