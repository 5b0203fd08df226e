"""The file tree at the head of docs/ARCHITECTURE.md: of each file what it says of itself."""

import functools
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT / "tools").is_dir():  # an installed package has no tools
    pytest.skip("no tools/ here", allow_module_level=True)
sys.path.insert(0, str(ROOT / "tools"))

import file_tree  # noqa: E402 - found through the line above


@functools.cache
def tree():
    return file_tree.tree()


@functools.cache
def files():
    """Every file of the project, as a document may name it."""
    return {
        path.relative_to(ROOT).as_posix()
        for folder in (*file_tree.FOLDERS, "tests")
        for path in (ROOT / folder).rglob("*")
    } | {"setup.py", "pyproject.toml"}


def test_the_tree_in_the_document_is_that_of_the_files():
    text = file_tree.DOCUMENT.read_text(encoding="utf-8")
    there = text.partition(file_tree.BEGIN)[2].partition(file_tree.END)[0]
    assert there.splitlines() == tree().splitlines(), "run python tools/file_tree.py"


def test_every_file_is_in_the_tree():
    listed = Counter(line.split()[0] for line in tree().splitlines() if line.strip())
    folders = ("vidya", "csrc", "bench", "tools", "docs")
    there = Counter(path.name for folder in folders for path in ROOT.glob(f"{folder}/**/*.*"))
    for path in [*ROOT.glob("vidya/**/*.py"), *ROOT.glob("csrc/*.[ch]"), *ROOT.glob("docs/*.md")]:
        if path.name != "__init__.py":
            assert listed[path.name] == there[path.name], path


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [("a.py", '"""What it is: two\nlines of it. And more."""\n', "What it is: two lines of it"),
     ("a.py", '"""A thing.\n\nMore of it.\n"""\n', "A thing"),
     ("a.c", "/* a.c - sums of rows,\n * in order. Not more. */\n", "sums of rows, in order"),
     ("a.md", "# File formats\n\nText.\n", "File formats")],
)  # fmt: skip
def test_what_a_file_says_of_itself(tmp_path, name, text, says):
    (tmp_path / name).write_text(text)
    assert file_tree.description(tmp_path / name) == says


def test_a_file_that_says_nothing_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(file_tree, "ROOT", tmp_path)
    (tmp_path / "a.py").write_text("x = 1\n")
    with pytest.raises(SystemExit, match=r"a\.py does not say what it is"):
        file_tree.description(tmp_path / "a.py")


@pytest.mark.parametrize(
    "name", ["README.md", *sorted(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))]
)
def test_the_files_that_a_document_names_are_there(name):
    """A path such as `vidya/text/tokenizer.py`, `posttraining/replay_corpus.py` or `linear.c`."""
    text = (ROOT / name).read_text(encoding="utf-8").replace(tree(), "")
    named = set(re.findall(r"`((?:[a-z_0-9]+/)*[a-z_0-9]+(?:\.inc)?\.(?:py|[ch]))`", text))
    missing = {one for one in named if not any(f"/{file}".endswith(f"/{one}") for file in files())}
    assert missing - {"mine.py"} == set()
