"""Compile every C file with every compiler there is, warnings being errors; check the style.

gcc and clang for this machine, and gcc for aarch64 where it is installed; each file
in float and in double. Nothing is kept. The style is that of .clang-format. Exit status 1
if a compiler complains or a file is formatted in another way.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import kernel_extensions as extensions

COMPILERS = ("gcc", "clang", "aarch64-linux-gnu-gcc")
PRECISIONS = {"float": [], "double": extensions.DOUBLE}
WORKERS = 2


def complaint(compiler: str, precision: str, source: Path) -> str:
    """What the compiler says of one file: nothing, if all is well."""
    flags = [
        *extensions.FLAGS,
        *extensions.WARNINGS,
        *extensions.LIBRARY_FLAGS,
        *extensions.PREFIX,
        "-fPIC",
    ]
    done = subprocess.run(
        [compiler, *flags, *PRECISIONS[precision], "-c", str(source), "-o", "/dev/null"],
        capture_output=True,
        text=True,
    )
    return done.stderr if done.returncode else ""


def check(compiler: str) -> bool:
    """Whether `compiler` takes all files in both precisions; prints what it says."""
    work = list(itertools.product([compiler], PRECISIONS, sorted(extensions.CSRC.glob("*.c"))))
    with ThreadPoolExecutor(WORKERS) as pool:
        complaints = [text for text in pool.map(complaint, *zip(*work, strict=True)) if text]
    print("".join(complaints), end="")
    verdict = f"{len(complaints)} failed" if complaints else "no warnings"
    print(f"{compiler}: {len(work)} compilations, {verdict}")
    return not complaints


def check_style() -> bool:
    """Whether all sources are formatted as .clang-format says; prints where they are not.

    Versions of clang-format differ, so only the one that pip installed beside this Python counts.
    """
    formatter = Path(sys.executable).with_name("clang-format")
    if not formatter.exists():
        print("clang-format: not installed beside this Python (make lint does), style not checked")
        return True
    sources = [str(path) for path in sorted(extensions.CSRC.iterdir())]
    done = subprocess.run([formatter, "--dry-run", "--Werror", *sources])
    verdict = "clang-format -i csrc/*.[ch] mends it" if done.returncode else "as it should be"
    print(f"clang-format: {len(sources)} files, {verdict}")
    return not done.returncode


def main() -> int:
    """Check with the compilers that are on PATH, of which there must be one, and the style."""
    found = [compiler for compiler in COMPILERS if shutil.which(compiler)]
    if not found:
        print(f"error: none of {', '.join(COMPILERS)} is installed", file=sys.stderr)
        return 2
    return 0 if all([check_style(), *map(check, found)]) else 1


if __name__ == "__main__":
    raise SystemExit(main())
