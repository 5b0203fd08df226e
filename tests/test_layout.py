"""The folders of tests are those of the packages, and what tests name exists."""

import importlib
import re
from pathlib import Path

import pytest

import vidya
from vidya.__main__ import COMMANDS

PACKAGE = Path(vidya.__file__).parent
TESTS = Path(__file__).parent
APART = {"commands", "bench", "tools"}
"""Folders of tests that are of no package: the commands', and those of what is beside vidya/."""
NOT_BY_MODULE = {"bench", "kernels", "tools"}
"""Folders whose files are called after what they test and not after a module."""

packages = {path.parent.relative_to(PACKAGE) for path in PACKAGE.rglob("*/__init__.py")}
test_files = sorted(TESTS.rglob("test_*.py"))


def test_every_package_has_its_folder_of_tests():
    assert len(packages) > 10
    missing = [str(one) for one in packages if not list((TESTS / one).rglob("test_*.py"))]
    assert missing == []


@pytest.mark.parametrize("path", test_files, ids=lambda path: str(path.relative_to(TESTS)))
def test_every_test_lies_where_its_subject_does(path):
    """`tests/PACKAGE/test_MODULE.py`, or `test_MODULE_more.py`."""
    folder = path.parent.relative_to(TESTS)
    if folder == Path():
        return  # what all tests share
    assert folder in packages or str(folder) in APART, f"there is no package vidya/{folder}"
    if folder.parts[0] in NOT_BY_MODULE:
        return
    if str(folder) == "commands":
        modules = {*COMMANDS, "main"}
    else:
        modules = {module.stem for module in (PACKAGE / folder).glob("*.py")}
    subject = path.stem.removeprefix("test_")
    assert any(subject == name or subject.startswith(f"{name}_") for name in modules), (
        f"vidya/{folder} has no module that {path.name} could be of: {sorted(modules)}"
    )


IMPORTS = re.compile(r"^[ \t\"(]*from (vidya[.\w]*) import ([\w, ]+)|import (vidya\.[.\w]+)", re.M)


@pytest.mark.parametrize("path", test_files, ids=lambda path: str(path.relative_to(TESTS)))
def test_programs_inside_tests_import_what_there_is(path):
    """A program in a string is not seen by a linter, and may fail as a test expects it to."""
    for module, names, whole in IMPORTS.findall(path.read_text("utf-8")):
        found = importlib.import_module(module or whole)
        for name in filter(None, (one.split(" as ")[0].strip() for one in names.split(","))):
            assert hasattr(found, name) or importlib.import_module(f"{module}.{name}")
