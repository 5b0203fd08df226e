"""What auto means, and that nothing but one function decides it."""

import re
from pathlib import Path

import pytest

import vidya
from vidya import kernels
from vidya.errors import UserError
from vidya.model.precision import FORCED, resolve_precision


def test_auto_is_what_is_faster_here(monkeypatch, kernel_settings):
    monkeypatch.delenv(FORCED, raising=False)
    assert resolve_precision("auto") == ("bf16" if kernels.has_bf16() else "fp32")
    kernels.set_isa("generic")
    assert resolve_precision("auto") == "fp32"


@pytest.mark.parametrize("forced", ["fp32", "bf16"])
def test_the_environment_decides_what_auto_is_and_nothing_else(monkeypatch, forced):
    monkeypatch.setenv(FORCED, forced)
    assert resolve_precision("auto") == forced
    assert [resolve_precision(asked) for asked in ("fp32", "bf16", "int8")] == [
        "fp32", "bf16", "int8",
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", ["", "int8", "auto", "BF16"])
def test_another_value_is_refused_where_it_matters(monkeypatch, wrong):
    monkeypatch.setenv(FORCED, wrong)
    with pytest.raises(UserError, match=re.escape(f"{FORCED} must be fp32 or bf16, not {wrong!r}")):
        resolve_precision("auto")
    assert resolve_precision("fp32") == "fp32"


def test_one_function_asks_what_the_processor_can():
    package = Path(vidya.__file__).parent
    asking = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "has_bf16()" in path.read_text("utf-8") and path.parent.name != "kernels"
    }
    assert asking == {"model/precision.py"}
