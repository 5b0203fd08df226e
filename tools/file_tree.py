"""The file tree at the head of docs/ARCHITECTURE.md, a line a file, made of what the files say.

The line of a file is the first sentence of its docstring, its first comment, or its title, so
there is one description of each file, in the file. `python tools/file_tree.py` writes the tree
into the document; a test compares the two.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "ARCHITECTURE.md"
FOLDERS = ("csrc", "vidya", "bench", "tools", "docs")
"""What the tree shows file by file; of tests/ it shows the folders."""
BEGIN, END = "<!-- file tree -->\n```text\n", "```\n<!-- end of file tree -->\n"
COLUMN = 33
"""Where descriptions begin."""


def tree() -> str:
    """The whole tree, as it stands between `BEGIN` and `END`."""
    lines = [line for name in FOLDERS for line in folder_lines(ROOT / name, 0)]
    return "\n".join([*lines, *test_lines()]) + "\n"


def folder_lines(folder: Path, depth: int) -> list[str]:
    """A folder and what is in it: its files, then its folders."""
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__py")))
    init = folder / "__init__.py"
    about = description(init) if init.exists() and depth else ""
    lines = [entry(f"{folder.name}/", about, depth)]
    for path in inside:
        if path.is_file() and path.suffix in (".py", ".c", ".h", ".md") and path != init:
            lines.append(entry(path.name, description(path), depth + 1))
    for path in inside:
        if path.is_dir() and any(path.glob("*.py")):
            lines += (
                ["", *folder_lines(path, depth + 1)] if not depth else folder_lines(path, 1 + depth)
            )
    return [*lines, ""] if not depth else lines


def test_lines() -> list[str]:
    """The folders of tests/, which lie as the packages do."""
    return [
        entry(
            "tests/",
            "as vidya/ lies: tests/text/test_tokenizer.py tests vidya/text/tokenizer.py",
            0,
        ),
        entry("commands/", "the commands as programs: options, output, errors, signals", 1),
        entry("bench/, tools/", "the benchmarks' own arithmetic; the tools of the project", 1),
        entry("support/", "what tests share: tiny models, trainings, conversations", 1),
        entry(
            "support/reference/", "plain NumPy in float64, and PyTorch: what kernels are held to", 1
        ),
    ]


def entry(name: str, about: str, depth: int) -> str:
    """One line of the tree."""
    name = "  " * depth + name
    return f"{name:<{COLUMN}}{about}".rstrip()


def description(path: Path) -> str:
    """The first sentence that a file says of itself, without its full stop."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        said = ast.get_docstring(ast.parse(text)) or ""
    elif path.suffix == ".md":
        said = text.partition("\n")[0].lstrip("# ")
    else:
        comment = re.match(r"/\* \S+ - (.*?)\*/", text, re.DOTALL)
        said = re.sub(r"\s*\n \*\s*", " ", comment[1]) if comment else ""
    said = " ".join(said.partition("\n\n")[0].split())
    first = re.split(r"\.(?=\s+[A-Z])|\.$", said)[0]
    if not first:
        raise SystemExit(f"error: {path.relative_to(ROOT)} does not say what it is")
    return first


def main() -> None:
    """Write the tree into the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, found, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (found and end):
        raise SystemExit(f"error: {DOCUMENT.name} has no place for the tree")
    DOCUMENT.write_text(before + BEGIN + tree() + END + after, encoding="utf-8")
    print(f"{DOCUMENT.name}: {tree().count(chr(10))} lines", file=sys.stderr)


if __name__ == "__main__":
    main()
