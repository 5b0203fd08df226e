"""The command that shows and clears what is kept for the next time."""

import sys

import pytest

from vidya import cache
from vidya.system import user_cache
from vidya.terminal.command_frame import run_command


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("VIDYA_CACHE", str(tmp_path / "kept"))

    def run(*arguments, status=0):
        monkeypatch.setattr(sys, "argv", ["cache", *arguments])
        assert run_command(cache.main) == status
        return capsys.readouterr()

    return run


def test_what_is_kept_is_shown_and_deleted(command, tmp_path):
    assert command().out == f"{tmp_path}/kept: 0.0 MB, of at most 100\n"
    for number in range(2):
        user_cache.remember("tokenizers", {"n": number}, bytes(200_000))
    shown = command().out.splitlines()
    assert shown[0].startswith(f"{tmp_path}/kept: 0.4 MB") and len(shown) == 3
    assert shown[1].startswith("  2 tokenizers, 0.4 MB, last used on 20")
    assert command("--clear").out == f"{tmp_path}/kept: 0.4 MB deleted\n"
    assert not (tmp_path / "kept").exists()
    assert command("--clear").out.endswith("0.0 MB deleted\n")


def test_a_user_without_a_home(command, monkeypatch):
    monkeypatch.setattr(user_cache, "cache_folder", lambda: None)
    told = command(status=2).err
    assert told.startswith("error: ") and "set VIDYA_CACHE" in told and told.count("\n") == 1


def test_what_cannot_be_deleted_is_told(command, monkeypatch):
    def refuse():
        raise PermissionError(13, "Permission denied", "/x/y")

    monkeypatch.setattr(user_cache, "clear", refuse)
    assert "cannot delete /x/y: Permission denied" in command("--clear", status=2).err
