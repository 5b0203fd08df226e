"""Targets of an export: their precisions, and outputs that would replace something."""

import pytest

from vidya.errors import PlaceError, UserError
from vidya.exporting.targets import TARGETS


def test_the_first_precision_is_the_default_and_others_are_refused():
    assert TARGETS["hf"].precision(None) == "fp32" and TARGETS["hf"].precision("f16") == "f16"
    with pytest.raises(UserError, match=r"--precision q8_0 is not for a folder .* or f16"):
        TARGETS["hf"].precision("q8_0")


def test_what_is_there_is_not_replaced(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    (tmp_path / "empty").mkdir()
    TARGETS["hf"].require_free(tmp_path / "empty")
    TARGETS["hf"].require_free(tmp_path / "new")
    for name, says in (("full", "is not empty"), ("full/a", "is not a folder")):
        with pytest.raises(PlaceError, match=says):
            TARGETS["hf"].require_free(tmp_path / name)
